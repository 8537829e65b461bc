-- The landmark panel: the covariates of each student at each landmark, and the days from there to the student's return.
-- Days are counted from 1970-01-01 in the platform's time zone; their fraction is the time of day. Landmarks are one week
-- apart, so the windows of 7 and 28 days are one and four buckets between landmarks.
-- Grain:  student and landmark. Inputs: attempt, weekly_kpi, and (scored_sessions) the temporary table population.
-- Params: as_of, timezone; anchor_day (the last landmark), anchor_week (the week whose KPIs are known there), n_landmarks,
--         data_end_day (the first day that is not fully observed), max_silence_days.

-- name: sessions
CREATE TEMP TABLE risk_session ON COMMIT DROP AS
SELECT
    user_id,
    extract(EPOCH FROM min(completed_at) AT TIME ZONE :timezone)::float8 / 86400 AS start_day
FROM attempt
WHERE completed_at < :as_of
GROUP BY user_id, session_id;

-- name: scored_sessions
CREATE TEMP TABLE risk_session ON COMMIT DROP AS
SELECT
    a.user_id,
    extract(EPOCH FROM min(a.completed_at) AT TIME ZONE :timezone)::float8 / 86400 AS start_day
FROM population AS p
INNER JOIN attempt AS a ON a.user_id = p.user_id
WHERE a.completed_at < :as_of
GROUP BY a.user_id, a.session_id;

-- name: know_sessions
-- Without statistics the planner assumes two hundred students and looks up the KPIs of each landmark separately.
ANALYZE risk_session (user_id);

-- name: panel
CREATE TEMP TABLE risk_panel ON COMMIT DROP AS
WITH student AS (
    SELECT user_id, (row_number() OVER (ORDER BY user_id) - 1)::integer AS user_no
    FROM risk_session
    GROUP BY user_id
    HAVING max(start_day) >= CAST(:anchor_day AS float8) - 7 * (CAST(:n_landmarks AS integer) - 1) - :max_silence_days
),
-- Bucket i has the sessions from landmark i up to the next one. All sessions before the first window share one bucket.
bucketed AS (
    SELECT
        s.user_no,
        GREATEST(-4, LEAST(
            :n_landmarks,
            floor((r.start_day - CAST(:anchor_day AS float8)) / 7)::integer + :n_landmarks
        )) AS bucket,
        r.start_day
    FROM student AS s
    INNER JOIN risk_session AS r ON r.user_id = s.user_id
),
weekly AS (
    SELECT user_no, bucket, count(*)::integer AS sessions, min(start_day) AS first_day, max(start_day) AS last_day
    FROM bucketed
    GROUP BY user_no, bucket
),
grid AS (
    SELECT s.user_no, s.user_id, g.bucket, w.sessions, w.first_day, w.last_day
    FROM student AS s
    CROSS JOIN generate_series(-4, CAST(:n_landmarks AS integer)) AS g (bucket)
    LEFT JOIN weekly AS w ON w.user_no = s.user_no AND w.bucket = g.bucket
),
known AS (
    SELECT
        user_no,
        user_id,
        bucket,
        CAST(:anchor_day AS float8) - 7 * (CAST(:n_landmarks AS integer) - bucket) AS landmark_day,
        CAST(:anchor_week AS date) - 7 * (CAST(:n_landmarks AS integer) - bucket) AS week_start,
        sum(sessions) OVER before AS sessions_before,
        max(last_day) OVER before AS last_day_before,
        min(first_day) OVER before AS first_day_ever,
        COALESCE(sum(sessions) OVER four_weeks, 0) AS sessions_28d,
        min(first_day) OVER four_weeks AS first_day_28d,
        COALESCE(lag(sessions) OVER (PARTITION BY user_no ORDER BY bucket), 0) AS sessions_7d,
        min(first_day) OVER (
            PARTITION BY user_no ORDER BY bucket ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS next_day
    FROM grid
    WINDOW
        before AS (PARTITION BY user_no ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        four_weeks AS (PARTITION BY user_no ORDER BY bucket ROWS BETWEEN 4 PRECEDING AND 1 PRECEDING)
)
SELECT
    k.user_no,
    k.user_id,
    k.landmark_day,
    CASE WHEN k.next_day IS NULL THEN :data_end_day - k.landmark_day ELSE floor(k.next_day) - k.landmark_day + 1 END
        AS duration_days,
    k.next_day IS NOT NULL AS is_return,
    (k.landmark_day - k.last_day_before)::real AS days_since_last,
    k.sessions_28d::real AS sessions_28d,
    CASE WHEN k.sessions_28d > 1 THEN ((k.last_day_before - k.first_day_28d) / (k.sessions_28d - 1)::float8)::real END
        AS mean_gap_days_28d,
    k.sessions_7d::real AS sessions_7d,
    (k.landmark_day - k.first_day_ever)::real AS tenure_days,
    ((k.landmark_day - k.first_day_ever) / k.sessions_before::float8)::real AS days_per_session,
    (w.kpis ->> 'A_t')::real AS a_t,
    (w.kpis ->> 'E_t')::real AS e_t,
    (w.kpis ->> 'R_t')::real AS r_t
FROM known AS k
LEFT JOIN weekly_kpi AS w ON w.user_id = k.user_id AND w.week_start = k.week_start
WHERE k.bucket >= 1 AND k.sessions_before > 0 AND k.landmark_day - k.last_day_before <= :max_silence_days;

-- name: panel_rows
-- Small types matter: a million students have ten million rows.
SELECT
    user_no, landmark_day::integer AS landmark_day, duration_days::integer AS duration_days, is_return, days_since_last,
    sessions_28d, mean_gap_days_28d, sessions_7d, tenure_days, days_per_session, a_t, e_t, r_t
FROM risk_panel
ORDER BY user_no, landmark_day;

-- name: scored_rows
SELECT
    user_id, days_since_last, sessions_28d, mean_gap_days_28d, sessions_7d, tenure_days, days_per_session,
    a_t, e_t, r_t
FROM risk_panel
ORDER BY user_no;

-- name: drop_panel
DROP TABLE risk_session, risk_panel;
