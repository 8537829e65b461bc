-- Students whose silence has reached the threshold and who have no notice for this silence yet.
-- Grain:  student. Inputs: attempt, inactivity_notice, weekly_kpi.
-- Params: since (students silent since before then have left and get no notice), threshold_at, as_of; week_start,
--         threshold_days.

-- name: population
CREATE TEMP TABLE population ON COMMIT DROP AS
SELECT a.user_id, a.last_seen_at
FROM (
    SELECT user_id, max(completed_at) AS last_seen_at
    FROM attempt
    WHERE completed_at >= :since AND completed_at < :as_of
    GROUP BY user_id
) AS a
WHERE a.last_seen_at < :threshold_at
    AND NOT EXISTS (
        SELECT FROM inactivity_notice AS n WHERE n.user_id = a.user_id AND n.silent_since >= a.last_seen_at
    );

-- name: count_due
SELECT count(*) FROM population;

-- name: stage
-- Inputs: population, and weekly_kpi after the refresh of the same run.
CREATE TEMP TABLE staged_notice ON COMMIT DROP AS
SELECT
    p.user_id,
    p.last_seen_at AS silent_since,
    CAST(:threshold_days AS integer) AS threshold_days,
    CAST(:as_of AS timestamptz) AS noticed_at,
    CAST(:week_start AS date) AS week_start,
    (k.kpis ->> 'P')::float8 AS p,
    (k.kpis ->> 'S')::float8 AS s
FROM population AS p
INNER JOIN weekly_kpi AS k ON k.user_id = p.user_id AND k.week_start = :week_start;

-- name: summary
SELECT count(*) AS students, avg(s) AS mean_s, avg(p) AS mean_p, min(silent_since) AS earliest, max(silent_since) AS latest
FROM staged_notice;
