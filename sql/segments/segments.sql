-- Features of students for the segmentation, and the segments of earlier runs.
-- Grain:  see each statement. Inputs: weekly_kpi, features_topic_daily, segment_profile, segment_meta.
-- Params: first_week, week_start, min_weeks.

-- name: features
-- Means over the weeks of the look-back; NULL where a student has no value. Sessions and gap are over 28 days, as in
-- weekly_kpi; times are in ms; hints are per day with activity. Means are of numerics: their last bit does not depend on
-- the order of rows.
-- Grain: student with at least min_weeks weeks.
CREATE TEMP TABLE segment_feature ON COMMIT DROP AS
WITH weekly AS (
    SELECT
        user_id,
        avg((kpis ->> 'A_t')::numeric)::float8 AS engagement,
        avg((kpis ->> 'I_t')::numeric)::float8 AS improvement,
        avg((kpis ->> 'E_t')::numeric)::float8 AS efficiency,
        avg((kpis ->> 'R_t')::numeric)::float8 AS recovery,
        avg((kpis ->> 'sessions')::numeric)::float8 AS sessions,
        avg((kpis ->> 'mean_gap')::numeric)::float8 AS gap
    FROM weekly_kpi
    WHERE week_start BETWEEN :first_week AND :week_start
    GROUP BY user_id
    HAVING count(kpis ->> 'A_t') >= :min_weeks
),
daily AS (
    SELECT user_id, date, avg(rt_median) AS rt_median, sum(COALESCE(hints_once, hints)) AS hints,
        sum(COALESCE(attempts_once, attempts)) AS attempts
    FROM features_topic_daily
    WHERE date BETWEEN :first_week AND CAST(:week_start AS date) + 6
    GROUP BY user_id, date
),
activity AS (
    SELECT
        user_id,
        avg(rt_median)::float8 AS avg_rt,
        avg(hints)::float8 AS avg_hints,
        sum(attempts)::float8 AS total_attempts
    FROM daily
    GROUP BY user_id
)
SELECT w.*, a.avg_rt, a.avg_hints, a.total_attempts
FROM weekly AS w
LEFT JOIN activity AS a ON a.user_id = w.user_id;

-- name: feature_rows
SELECT
    user_id, engagement, improvement, efficiency, recovery, sessions, gap, avg_rt, avg_hints, total_attempts
FROM segment_feature
ORDER BY user_id;

-- name: previous
-- The segments of the previous run. Grain: segment.
SELECT segment_id, segment_label, centre
FROM segment_profile
WHERE run_id = (SELECT run_id FROM segment_meta WHERE week_start < :week_start ORDER BY week_start DESC LIMIT 1)
ORDER BY segment_id;

-- name: first_new_id
-- The first id that no earlier run has used: the id of a segment that vanished is not given to another one.
SELECT COALESCE(max(p.segment_id) + 1, 0)
FROM segment_profile AS p
INNER JOIN segment_meta AS m ON m.run_id = p.run_id
WHERE m.week_start < :week_start;

-- name: has_newer
SELECT EXISTS(SELECT FROM segment_meta WHERE week_start > :week_start);
