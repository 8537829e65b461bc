-- Churn risk at as_of by the contract's heuristic:
-- S = clamp(0.6·clamp(days silent / horizon) + 0.25·clamp(mean gap / 7) + 0.15·clamp(1 − sessions / 10)), with the sessions
-- and gaps of the last 56 days. With fewer than two sessions the gap is the present silence, so students who have been
-- silent for long get a number too (close to 1).
-- Grain:  student of the population. Inputs: population, attempt.
-- Params: as_of, days_56 (the instant 56 local days before as_of), since (start of the population), horizon_days.
CREATE TEMP TABLE staged_kpi ON COMMIT DROP AS
WITH session_of AS (
    SELECT
        user_id,
        session_id,
        min(completed_at) FILTER (WHERE completed_at >= :days_56) AS started_at,
        max(completed_at) AS ended_at
    FROM attempt
    WHERE completed_at >= LEAST(:since, :days_56) AND completed_at < :as_of
    GROUP BY user_id, session_id
),
activity AS (
    SELECT
        user_id,
        extract(EPOCH FROM :as_of - max(ended_at))::float8 / 86400 AS days_silent,
        count(started_at)::integer AS sessions,
        extract(EPOCH FROM max(started_at) - min(started_at))::float8 / 86400 / NULLIF(count(started_at) - 1, 0) AS mean_gap
    FROM session_of
    GROUP BY user_id
)
SELECT
    p.user_id,
    jsonb_build_object('S', GREATEST(0, LEAST(1,
        0.6 * LEAST(1, GREATEST(0, a.days_silent / :horizon_days))
        + 0.25 * LEAST(1, COALESCE(CASE WHEN a.sessions >= 2 THEN a.mean_gap END, a.days_silent) / 7)
        + 0.15 * GREATEST(0, 1 - a.sessions / 10.0)
    ))) || jsonb_build_object(
        'S_method', 'heuristic',
        'S_horizon_days', CAST(:horizon_days AS integer),
        'S_days_silent', round(a.days_silent::numeric, 3),
        'S_n_sessions', a.sessions,
        'S_state', CASE WHEN a.days_silent < :horizon_days THEN 'active' ELSE 'stopped' END
    ) AS kpis
FROM population AS p
INNER JOIN activity AS a ON a.user_id = p.user_id;
