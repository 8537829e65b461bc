-- Improvement at as_of: the last 14 days against the 14 days before.
-- By ability (mode theta), I_t = Δθ · min(1, n / 30) · (1 − min(0.5, 1.96 · se of θ)); by accuracy, I_t has Δp and the
-- standard error of p instead. NULL with a reason where a window has no answer.
-- Δθ is the change of ability over time, which uses all answers (METRICS_ABILITY=dynamic), else the difference of the two
-- windows' abilities. An EAP lies nearer to the mean of the population the fewer answers it has, so the difference of two
-- shows who practised more. Here both windows are taken as if they had the mean error variance v of the two: from an EAP θ with
-- error s under the prior N(m, S²), the answers alone say N(x, 1 / l) with l = 1 / s² - 1 / S² and x = (θ / s² - m / S²) / l.
-- Δθ = S² / (S² + v) · (x_recent - x_previous), se² = 2 S² v / (S² + v). Windows with equal errors keep the difference as it is.
-- Grain:  student of the population. Inputs: population, attempt, ability_window, ability_state, mirt_fit_meta.
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
    SELECT
        w.user_id,
        w.window_name,
        w.se,
        x.prior_variance,
        1 / l.precision AS variance,
        (w.theta / (w.se * w.se) - x.prior_mean / x.prior_variance) / l.precision AS said
    FROM ability_window AS w
    INNER JOIN mirt_fit_meta AS f ON f.run_id = w.run_id
    CROSS JOIN LATERAL (
        SELECT (f.metrics ->> 'group_mean')::float8 AS prior_mean, ((f.metrics ->> 'group_sd')::float8) ^ 2 AS prior_variance
    ) AS x
    -- Answers that say next to nothing leave the error of the prior.
    CROSS JOIN LATERAL (SELECT GREATEST(1 / (w.se * w.se) - 1 / x.prior_variance, 1e-6) AS precision) AS l
    WHERE w.week_start = :week_start AND w.window_end_at IN (:as_of, :days_14)
),
window_change AS (
    SELECT
        r.user_id,
        r.se AS se_recent,
        v.shared * (r.said - q.said) AS delta_theta,
        sqrt(v.shared * (r.variance + q.variance)) AS delta_theta_se
    FROM window_known AS r
    INNER JOIN window_known AS q ON q.user_id = r.user_id AND q.window_name = 'previous'
    CROSS JOIN LATERAL (
        SELECT r.prior_variance / (r.prior_variance + (r.variance + q.variance) / 2) AS shared
    ) AS v
    WHERE r.window_name = 'recent'
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
        COALESCE(s.change, w.delta_theta) AS delta_theta,
        COALESCE(s.change_se, w.delta_theta_se) AS delta_theta_se,
        COALESCE(s.se, w.se_recent) AS se_recent,
        :use_theta AND COALESCE(a.n_recent, 0) >= 5 AND (s.user_id IS NOT NULL OR w.user_id IS NOT NULL) AS is_theta_mode
    FROM population AS p
    LEFT JOIN answers AS a ON a.user_id = p.user_id
    LEFT JOIN state_known AS s ON s.user_id = p.user_id
    LEFT JOIN window_change AS w ON w.user_id = p.user_id
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
