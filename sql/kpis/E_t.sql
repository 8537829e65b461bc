-- Efficiency at as_of: E_t = clamp((previous − recent) / previous), where recent and previous are the median recorded times
-- of right answers in the last 28 days and in the 28 days before.
-- Grain:  student of the population. Inputs: population, attempt.
-- Params: as_of, days_28, days_56 (instants that many local days before as_of).
CREATE TEMP TABLE staged_kpi ON COMMIT DROP AS
WITH timed AS (
    SELECT
        user_id,
        count(*) FILTER (WHERE completed_at >= :days_28)::integer AS n_recent,
        count(*) FILTER (WHERE completed_at < :days_28)::integer AS n_previous,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY recorded_time_ms) FILTER (WHERE completed_at >= :days_28) AS median_recent,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY recorded_time_ms) FILTER (WHERE completed_at < :days_28) AS median_previous
    FROM attempt
    WHERE completed_at >= :days_56 AND completed_at < :as_of AND is_answered AND correct AND recorded_time_ms IS NOT NULL
    GROUP BY user_id
),
change AS (
    SELECT
        p.user_id,
        COALESCE(t.n_recent, 0) AS n_recent,
        COALESCE(t.n_previous, 0) AS n_previous,
        t.median_previous,
        CASE WHEN t.median_previous > 0 THEN (t.median_previous - t.median_recent) / t.median_previous END AS change
    FROM population AS p
    LEFT JOIN timed AS t ON t.user_id = p.user_id
)
SELECT
    user_id,
    jsonb_build_object('E_t', CASE WHEN change IS NOT NULL THEN GREATEST(0, LEAST(1, change)) END)
    || jsonb_strip_nulls(jsonb_build_object(
        'E_t_change', change,
        'E_t_reason', CASE
            WHEN n_recent = 0 AND n_previous = 0 THEN 'no timed right answer in the last 56 days'
            WHEN n_recent = 0 THEN 'no timed right answer in the last 28 days'
            WHEN n_previous = 0 THEN 'no timed right answer in the 28 days before the last 28'
            WHEN median_previous <= 0 THEN 'the median time of the previous 28 days is zero'
        END,
        'E_t_reason_code', CASE
            WHEN n_recent = 0 AND n_previous = 0 THEN 'no_times_56d'
            WHEN n_recent = 0 THEN 'no_times_28d'
            WHEN n_previous = 0 THEN 'no_times_previous_28d'
            WHEN median_previous <= 0 THEN 'zero_time'
        END,
        'E_t_n_recent', n_recent,
        'E_t_n_previous', n_previous
    )) AS kpis
FROM change;
