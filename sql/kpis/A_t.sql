-- Engagement at as_of over 28 days: A_t = 0.35·min(1, sessions / 28) + 0.25·gap + 0.2·hints + 0.2·dwell, where
-- gap = clamp(1 / mean days between the starts of sessions), hints = clamp(1 − mean hints / 3) and
-- dwell = clamp(mean recorded seconds of a session / 900). A component without data counts as 0.5 and is listed in
-- A_t_assumed.
-- Grain:  student of the population. Inputs: population, attempt.
-- Params: as_of, days_28 (the instant 28 local days before as_of).
-- Times are summed as numerics: the last bit then does not depend on the order of rows.
CREATE TEMP TABLE staged_kpi ON COMMIT DROP AS
WITH session_of AS (
    SELECT
        user_id,
        session_id,
        count(*) AS n_attempts,
        min(completed_at) AS started_at,
        sum(recorded_time_ms::numeric) / 1000 AS seconds,
        sum(hints_used) AS hints,
        count(hints_used) AS n_hints
    FROM attempt
    WHERE completed_at >= :days_28 AND completed_at < :as_of
    GROUP BY user_id, session_id
),
activity AS (
    SELECT
        user_id,
        sum(n_attempts)::integer AS n_attempts,
        count(*)::integer AS sessions,
        extract(EPOCH FROM max(started_at) - min(started_at))::float8 / 86400 / NULLIF(count(*) - 1, 0) AS mean_gap,
        sum(hints)::float8 / NULLIF(sum(n_hints), 0) AS mean_hints,
        avg(seconds)::float8 AS mean_seconds
    FROM session_of
    GROUP BY user_id
),
component AS (
    SELECT
        a.*,
        LEAST(1, sessions / 28.0)::float8 AS frequency,
        CASE WHEN mean_gap = 0 THEN 1 ELSE LEAST(1, 1 / mean_gap) END AS gap,
        GREATEST(0, LEAST(1, 1 - mean_hints / 3)) AS hints,
        GREATEST(0, LEAST(1, mean_seconds / 900)) AS dwell,
        array_remove(ARRAY[
            CASE WHEN mean_gap IS NULL THEN 'gap' END,
            CASE WHEN mean_hints IS NULL THEN 'hints' END,
            CASE WHEN mean_seconds IS NULL THEN 'dwell' END
        ], NULL) AS assumed
    FROM activity AS a
)
SELECT
    p.user_id,
    jsonb_build_object('A_t', CASE WHEN c.user_id IS NOT NULL THEN
        0.35 * c.frequency
        + 0.25 * CASE WHEN c.mean_gap IS NULL THEN 0.5 ELSE c.gap END
        + 0.2 * CASE WHEN c.mean_hints IS NULL THEN 0.5 ELSE c.hints END
        + 0.2 * CASE WHEN c.mean_seconds IS NULL THEN 0.5 ELSE c.dwell END
    END) || jsonb_strip_nulls(jsonb_build_object(
        'A_t_reason', CASE WHEN c.user_id IS NULL THEN 'no attempt in the last 28 days' END,
        'A_t_reason_code', CASE WHEN c.user_id IS NULL THEN 'no_attempts_28d' END,
        'A_t_assumed', CASE WHEN cardinality(c.assumed) > 0 THEN to_jsonb(c.assumed) END,
        'A_t_n_attempts', COALESCE(c.n_attempts, 0),
        'sessions', COALESCE(c.sessions, 0),
        'mean_gap', c.mean_gap
    )) AS kpis
FROM population AS p
LEFT JOIN component AS c ON c.user_id = p.user_id;
