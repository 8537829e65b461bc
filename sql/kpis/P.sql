-- Goal probability P at as_of: from the growth posterior for students who have one; for the others, the inputs of the
-- Normal approximation.
-- Grain:  student of the population. Inputs: population, student_goal, mirt_ability, ability_state,
--         ability_hyperparameters, growth_brms_meta, growth_prediction.
-- Params: as_of, week_start, default_target; oldest (first week whose fit may be used); fit_week, run_id, fitted_at and note
--         of the fit; oldest_silent (first week whose fit may serve silent students); assumption of its projections;
--         as_of_date (the first day whose data is not visible); reason and reason_passed (why a student gets the
--         approximation); configured_date (horizon without a goal's date), last_date (latest horizon), use_states, timezone.
-- Scale:  abilities and targets are on the platform's linked scale (logits), predictions in the fit's score_unit.

-- name: fits
-- The week's own fit and the earlier fits that may replace it, newest first. Grain: fit.
SELECT run_id, week_start, fitted_at, is_usable, diagnostics -> 'reasons' AS reasons
FROM growth_brms_meta
WHERE week_start BETWEEN :oldest AND :week_start AND is_usable IS NOT NULL AND fitted_at <= :as_of
ORDER BY week_start DESC;

-- name: abilities
-- The newest ability of each student. On a Monday the running week's is as of the same instant as the week before.
-- Grain:  student of the population.
CREATE TEMP TABLE newest_ability ON COMMIT DROP AS
SELECT p.user_id, m.theta, m.se, m.n_answers, m.answered_at, m.method, m.week_start
FROM population AS p
LEFT JOIN LATERAL (
    SELECT a.theta, a.se, a.n_answers, a.answered_at, a.method, a.week_start
    FROM mirt_ability AS a
    WHERE a.user_id = p.user_id AND a.week_start <= :week_start AND a.fitted_at <= :as_of
    ORDER BY a.fitted_at DESC, a.week_start DESC
    LIMIT 1
) AS m ON true;

-- name: chosen
-- The fit of each student: the newest one. For a student without a score since an earlier one, the first that has the last
-- score. Later fits look back on less of such a student, so P would move without an answer. Its goal must be today's.
-- Grain:  student of the population in a fit.
CREATE TEMP TABLE chosen_prediction ON COMMIT DROP AS
SELECT DISTINCT ON (g.user_id) g.user_id, g.week_start, g.run_id, f.fitted_at
FROM newest_ability AS a
LEFT JOIN growth_prediction AS n ON n.user_id = a.user_id AND n.week_start = CAST(:fit_week AS date) AND n.run_id = :run_id
INNER JOIN growth_prediction AS g
    ON
        g.user_id = a.user_id
        AND g.week_start BETWEEN :oldest_silent AND CAST(:fit_week AS date)
        -- Who has a score in the newest fit's own week needs no earlier one.
        AND (g.week_start = CAST(:fit_week AS date) OR n.last_week IS DISTINCT FROM CAST(:fit_week AS date))
INNER JOIN growth_brms_meta AS f ON f.run_id = g.run_id
LEFT JOIN student_goal AS s ON s.user_id = a.user_id
WHERE
    g.run_id = :run_id
    OR (
        g.week_start < :fit_week AND f.is_usable AND f.fitted_at <= :as_of AND g.sum_weight IS NOT NULL
        AND g.target_level = COALESCE(s.target, :default_target)
        AND CASE
            WHEN g.horizon_source = 'configured' THEN s.goal_date IS NULL
            ELSE g.horizon_date = LEAST(s.goal_date, CAST(:last_date AS date))
        END
    )
ORDER BY g.user_id ASC, g.last_week DESC, g.week_start ASC;

-- name: chosen_fits
-- Grain: fit.
SELECT DISTINCT run_id, week_start, fitted_at FROM chosen_prediction ORDER BY week_start;

-- name: movable
-- Predictions of a fit that saw less than as_of, with what is needed to move them there. A day of the settings moves along, a
-- goal's day stays. Weeks count from the fit's look-back; returned_week is that of the last first answer since the fit.
-- Grain:  student of the population in the fit.
CREATE TEMP TABLE movable_prediction ON COMMIT DROP AS
SELECT
    g.user_id,
    g.sum_weight,
    g.sum_week,
    g.sum_week_squared,
    g.sum_residual,
    g.sum_week_residual,
    ((g.last_week - f.first_monday) / 7)::float8 AS last_week,
    (((r.answered_at AT TIME ZONE :timezone)::date - f.first_monday) / 7)::float8 AS returned_week,
    g.target,
    h.horizon_date
FROM newest_ability AS a
INNER JOIN chosen_prediction AS c ON c.user_id = a.user_id AND c.run_id = :run_id
INNER JOIN growth_prediction AS g ON g.user_id = a.user_id AND g.week_start = :fit_week AND g.run_id = :run_id
CROSS JOIN LATERAL (
    SELECT (model_spec ->> 'first_week')::date AS first_monday FROM growth_brms_meta WHERE run_id = g.run_id
) AS f
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN g.horizon_source = 'configured' THEN CAST(:configured_date AS date) ELSE g.horizon_date
        END AS horizon_date
) AS h
LEFT JOIN (
    SELECT user_id, max(completed_at) AS answered_at
    FROM attempt
    WHERE completed_at >= :fitted_at AND completed_at < :as_of AND is_answered AND answer_no = 1
    GROUP BY user_id
) AS r ON r.user_id = g.user_id
WHERE g.sum_weight IS NOT NULL AND h.horizon_date >= CAST(:as_of_date AS date);

-- name: movable_rows
SELECT * FROM movable_prediction ORDER BY user_id;

-- name: drop_movable
DROP TABLE movable_prediction;

-- name: draws
SELECT draws, (model_spec ->> 'first_week')::date AS first_monday FROM growth_brms_meta WHERE run_id = :run_id;

-- name: insert_bayesian
-- Predictions as moved to as_of, else as stored. Predictions for a day before the as-of day have expired; an older fit does
-- not look as far ahead. A prediction for the as-of day itself counts, because nothing of that day is visible yet (the same
-- holds for goals, growth/goals.sql).
INSERT INTO staged_kpi (user_id, kpis)
SELECT
    a.user_id,
    jsonb_strip_nulls(jsonb_build_object(
        'P', COALESCE(m.p, g.p), 'P_lower', COALESCE(m.p_lower, g.p_lower), 'P_upper', COALESCE(m.p_upper, g.p_upper),
        'sigma', COALESCE(m.sigma, g.sigma), 'P_method', 'bayesian',
        'P_target', g.target_level, 'P_target_source', g.target_source, 'P_projected', COALESCE(m.projected, g.projected),
        'P_assumption', CAST(:assumption AS text),
        'P_score_unit', f.model_spec ->> 'score_unit', 'P_horizon_date', COALESCE(m.horizon_date, g.horizon_date),
        'P_horizon_source', g.horizon_source, 'P_n_weeks', g.n_weeks, 'P_fit_run_id', g.run_id,
        'P_fit_week', g.week_start,
        'P_fit_note', CASE
            WHEN g.week_start = :fit_week THEN CAST(:note AS text)
            ELSE 'no score since the growth fit of ' || g.week_start || ', which stays'
        END,
        'theta', a.theta, 'ability_estimate', a.theta, 'theta_n_answers', a.n_answers, 'theta_se', a.se,
        'theta_method', a.method, 'theta_answered_at', a.answered_at
    ))
FROM newest_ability AS a
INNER JOIN chosen_prediction AS c ON c.user_id = a.user_id
INNER JOIN growth_prediction AS g ON g.user_id = c.user_id AND g.week_start = c.week_start AND g.run_id = c.run_id
INNER JOIN growth_brms_meta AS f ON f.run_id = g.run_id
LEFT JOIN moved_prediction AS m ON m.user_id = a.user_id
WHERE COALESCE(m.horizon_date, g.horizon_date) >= CAST(:as_of_date AS date);

-- name: rest
-- The students without a valid prediction. Those in the fit have one for a day that has passed. With a state, the ability is
-- projected to the goal's day, or to the configured one; days_ahead counts from the state's as-of day.
SELECT
    a.user_id,
    a.theta,
    a.se,
    a.n_answers,
    a.answered_at,
    a.method,
    s.week_start AS state_week,
    s.slope,
    s.slope_se,
    s.level_slope_covariance,
    COALESCE(g.target, :default_target) AS target,
    CASE WHEN g.target IS NULL THEN 'default' ELSE 'interest_goal' END AS target_source,
    h.horizon_date,
    CASE
        WHEN g.goal_date IS NULL THEN 'configured' WHEN g.goal_date > :last_date THEN 'goal_date_capped' ELSE 'goal_date'
    END AS horizon_source,
    extract(EPOCH FROM h.horizon_date::timestamp - (s.fitted_at AT TIME ZONE :timezone)) / 86400 AS days_ahead,
    CASE WHEN p.user_id IS NULL THEN CAST(:reason AS text) ELSE CAST(:reason_passed AS text) END AS method_reason
FROM newest_ability AS a
LEFT JOIN student_goal AS g ON g.user_id = a.user_id
CROSS JOIN LATERAL (
    SELECT LEAST(COALESCE(g.goal_date, CAST(:configured_date AS date)), CAST(:last_date AS date)) AS horizon_date
) AS h
LEFT JOIN ability_state AS s
    ON :use_states AND a.method = 'dynamic' AND s.user_id = a.user_id AND s.week_start = a.week_start
LEFT JOIN chosen_prediction AS p ON p.user_id = a.user_id
WHERE NOT EXISTS (SELECT FROM staged_kpi AS k WHERE k.user_id = a.user_id)
ORDER BY a.user_id;

-- name: hyperparameters
-- Of the weeks whose states are used. Grain: week. Params: weeks.
SELECT week_start, hyperparameters FROM ability_hyperparameters WHERE week_start = ANY(CAST(:weeks AS date[]));
