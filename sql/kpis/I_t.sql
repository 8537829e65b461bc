-- Improvement at as_of: the last 14 days against the 14 days before.
-- By ability (mode theta), I_t = Δθ · min(1, n / 30) · (1 − min(0.5, 1.96 · se of θ)); by accuracy, I_t has Δp and the
-- standard error of p instead. NULL with a reason where a window has no answer.
-- Δθ is the change of ability over time, which uses all answers (METRICS_ABILITY=dynamic), else the difference of the two
-- windows' abilities, which are shrunk by unequal amounts.
-- Grain:  student of the population. Inputs: population, attempt, ability_window, ability_state.
-- Params: week_start, as_of, days_14, days_28 (instants that many local days before as_of), use_theta, use_states.
-- Scale:  both windows of a week are scored by one run, so Δθ is on one scale, the platform's linked scale.
CREATE TEMP TABLE staged_kpi ON COMMIT DROP AS
WITH answers AS (
    SELECT
        user_id,
        count(*) FILTER (WHERE completed_at >= :days_14)::integer AS n_recent,
        count(*) FILTER (WHERE completed_at < :days_14)::integer AS n_previous,
        count(*) FILTER (WHERE completed_at >= :days_14 AND correct) AS right_recent,
        count(*) FILTER (WHERE completed_at < :days_14 AND correct) AS right_previous
    FROM attempt
    WHERE completed_at >= :days_28 AND completed_at < :as_of AND is_answered
    GROUP BY user_id
),
-- Only windows that end at exactly this instant. A run for an earlier instant must not read later data, and abilities of an
-- earlier day must not be combined with today's counts; such a student gets the mode accuracy.
window_known AS (
    SELECT user_id, window_name, theta, se FROM ability_window
    WHERE week_start = :week_start AND window_end_at IN (:as_of, :days_14)
),
state_known AS (
    SELECT user_id, change, change_se, se FROM ability_state
    WHERE :use_states AND week_start = :week_start AND fitted_at = :as_of
),
joined AS (
    SELECT
        p.user_id,
        COALESCE(a.n_recent, 0) AS n_recent,
        COALESCE(a.n_previous, 0) AS n_previous,
        a.right_recent::float8 / NULLIF(a.n_recent, 0) AS p_recent,
        a.right_previous::float8 / NULLIF(a.n_previous, 0) AS p_previous,
        LEAST(1, COALESCE(a.n_recent, 0) / 30.0)::float8 AS exposure,
        s.user_id IS NOT NULL AS has_state,
        COALESCE(s.change, r.theta - q.theta) AS delta_theta,
        COALESCE(s.change_se, sqrt(r.se * r.se + q.se * q.se)) AS delta_theta_se,
        COALESCE(s.se, r.se) AS se_recent,
        :use_theta AND COALESCE(a.n_recent, 0) >= 5
        AND (s.user_id IS NOT NULL OR (r.theta IS NOT NULL AND q.theta IS NOT NULL)) AS is_theta_mode
    FROM population AS p
    LEFT JOIN answers AS a ON a.user_id = p.user_id
    LEFT JOIN state_known AS s ON s.user_id = p.user_id
    LEFT JOIN window_known AS r ON r.user_id = p.user_id AND r.window_name = 'recent'
    LEFT JOIN window_known AS q ON q.user_id = p.user_id AND q.window_name = 'previous'
),
improvement AS (
    SELECT
        j.*,
        GREATEST(-1, LEAST(1, CASE
            WHEN n_recent = 0 OR n_previous = 0 THEN NULL
            WHEN is_theta_mode THEN delta_theta * exposure * (1 - LEAST(0.5, 1.96 * se_recent))
            ELSE (p_recent - p_previous) * exposure
                * (1 - LEAST(0.5, 1.96 * sqrt(p_recent * (1 - p_recent) / n_recent)))
        END)) AS i_t
    FROM joined AS j
)
SELECT
    user_id,
    jsonb_build_object('I_t', CASE WHEN n_recent > 0 AND n_previous > 0 THEN i_t END) || jsonb_strip_nulls(jsonb_build_object(
        'I_t_mode', CASE WHEN n_recent = 0 OR n_previous = 0 THEN NULL WHEN is_theta_mode THEN 'theta' ELSE 'accuracy' END,
        'I_t_method', CASE
            WHEN n_recent > 0 AND n_previous > 0 AND is_theta_mode THEN CASE WHEN has_state THEN 'dynamic' ELSE 'static' END
        END,
        'I_t_reason', CASE
            WHEN n_recent = 0 AND n_previous = 0 THEN 'no answer in the last 28 days'
            WHEN n_recent = 0 THEN 'no answer in the last 14 days'
            WHEN n_previous = 0 THEN 'no answer in the 14 days before the last 14'
        END,
        'I_t_reason_code', CASE
            WHEN n_recent = 0 AND n_previous = 0 THEN 'no_answers_28d'
            WHEN n_recent = 0 THEN 'no_answers_14d'
            WHEN n_previous = 0 THEN 'no_answers_previous_14d'
        END,
        'I_t_n_recent', n_recent,
        'I_t_n_previous', n_previous,
        'delta_theta', delta_theta,
        'delta_theta_se', delta_theta_se,
        'delta_accuracy', p_recent - p_previous
    )) AS kpis
FROM improvement;
