-- A summary of the computed days for the asset's metadata and check.
-- Grain:  see each statement. Inputs: features_topic_daily, attempt, row_quarantine.
-- Params: first_day, last_day; from_at, to_at (the same range as instants).

-- name: by_day
-- Grain: day, the newest 14.
SELECT
    date,
    count(*) AS rows,
    count(DISTINCT user_id) AS students,
    count(DISTINCT topic_id) AS topics,
    sum(COALESCE(attempts_once, attempts)) AS attempts,
    sum(COALESCE(correct_once, correct))::float8 / NULLIF(sum(COALESCE(attempts_once, attempts)), 0) AS share_right,
    count(theta_estimate)::float8 / count(*) AS share_with_theta
FROM features_topic_daily
WHERE date BETWEEN :first_day AND :last_day
GROUP BY date
ORDER BY date DESC
LIMIT 14;

-- name: rows_by_day
-- Grain: day.
SELECT date, count(*) AS rows FROM features_topic_daily WHERE date BETWEEN :first_day AND :last_day GROUP BY date;

-- name: unexplained
-- The number of answered attempts with a topic in the range that are missing from the rows, those in quarantine included. Grain: one row.
SELECT
    (
        SELECT count(*) FROM attempt
        WHERE completed_at >= :from_at AND completed_at < :to_at AND topic_id IS NOT NULL AND is_answered
    ) - (
        SELECT COALESCE(sum(COALESCE(attempts_once, attempts)), 0)
        FROM features_topic_daily
        WHERE date BETWEEN :first_day AND :last_day
    ) - (
        SELECT COALESCE(sum((element ->> 'attempts_once')::bigint), 0)
        FROM row_quarantine
        WHERE asset = 'features_topic_daily' AND (element ->> 'date')::date BETWEEN :first_day AND :last_day
    ) AS attempts;
