-- P: from the growth posterior of a fit where there is one, else what the Normal approximation needs at as_of.
-- Grain:  student of the population. Inputs: population, student_goal, mirt_ability, growth_brms_meta, growth_prediction.
-- Params: as_of, week_start, default_target; oldest (first week whose fit may stand in), fit_week and run_id of the fit;
--         as_of_date (first day that is not seen); reason and reason_passed (why students without P get the approximation).

-- name: fits
-- The week's own fit and those before it that may stand in for it, newest first.
SELECT run_id, week_start, is_usable, diagnostics -> 'reasons' AS reasons
FROM growth_brms_meta
WHERE week_start BETWEEN :oldest AND :week_start AND is_usable IS NOT NULL AND fitted_at <= :as_of
ORDER BY week_start DESC;

-- name: abilities
-- The newest ability of each student of the population.
CREATE TEMP TABLE newest_ability ON COMMIT DROP AS
SELECT p.user_id, m.theta, m.se, m.n_answers
FROM population AS p
LEFT JOIN LATERAL (
    SELECT a.theta, a.se, a.n_answers
    FROM mirt_ability AS a
    WHERE a.user_id = p.user_id AND a.week_start <= :week_start AND a.fitted_at <= :as_of
    ORDER BY a.fitted_at DESC
    LIMIT 1
) AS m ON true;

-- name: insert_bayesian
-- A prediction for a day before the as-of day is none any more: an older fit that stands in looks less far ahead. One for
-- the as-of day itself counts, as a goal of that day does (growth/goals.sql): nothing of that day is seen yet.
INSERT INTO staged_kpi (user_id, kpis)
SELECT
    a.user_id,
    jsonb_strip_nulls(jsonb_build_object(
        'P', g.p, 'P_lower', g.p_lower, 'P_upper', g.p_upper, 'sigma', g.sigma, 'P_method', 'bayesian',
        'P_target', g.target_level, 'P_target_source', g.target_source, 'P_projected', g.projected,
        'P_score_unit', f.model_spec ->> 'score_unit', 'P_horizon_date', g.horizon_date,
        'P_horizon_source', g.horizon_source, 'P_n_weeks', g.n_weeks, 'P_fit_run_id', g.run_id,
        'P_fit_week', g.week_start, 'P_fit_note', CAST(:note AS text),
        'theta', a.theta, 'ability_estimate', a.theta, 'theta_n_answers', a.n_answers
    ))
FROM newest_ability AS a
INNER JOIN growth_prediction AS g ON g.user_id = a.user_id AND g.week_start = :fit_week AND g.run_id = :run_id
INNER JOIN growth_brms_meta AS f ON f.run_id = g.run_id
WHERE g.horizon_date >= CAST(:as_of_date AS date);

-- name: rest
-- The students without a prediction. Who is in the fit all the same has one for a day that has passed.
SELECT
    a.user_id,
    a.theta,
    a.se,
    a.n_answers,
    COALESCE(g.target, :default_target) AS target,
    CASE WHEN g.target IS NULL THEN 'default' ELSE 'interest_goal' END AS target_source,
    CASE WHEN p.user_id IS NULL THEN CAST(:reason AS text) ELSE CAST(:reason_passed AS text) END AS method_reason
FROM newest_ability AS a
LEFT JOIN student_goal AS g ON g.user_id = a.user_id
LEFT JOIN growth_prediction AS p
    ON p.user_id = a.user_id AND p.week_start = CAST(:fit_week AS date) AND p.run_id = CAST(:run_id AS text)
WHERE NOT EXISTS (SELECT FROM staged_kpi AS s WHERE s.user_id = a.user_id)
ORDER BY a.user_id;
