-- Counts of answers and right answers for the mixed model. Every answer counts, once: in the first of its topics.
-- Grain:  student, topic ('unknown' where the attempt has none) and calendar week.
-- Inputs: attempt. Params: from_at, as_of (half open), first_monday (of the look-back), timezone, min_observations.

-- name: stage
CREATE TEMP TABLE topic_week ON COMMIT DROP AS
WITH cells AS (
    SELECT
        user_id,
        COALESCE(topic_id, 'unknown') AS topic,
        ((completed_at AT TIME ZONE :timezone)::date - CAST(:first_monday AS date)) / 7 AS week,
        count(*) AS attempts,
        count(*) FILTER (WHERE correct) AS right_answers
    FROM attempt
    WHERE completed_at >= :from_at AND completed_at < :as_of AND is_answered
    GROUP BY 1, 2, 3
)

SELECT c.*, sum(c.attempts) OVER (PARTITION BY c.user_id) >= :min_observations AS is_used
FROM cells AS c;

-- name: rows
SELECT user_id, topic, week, attempts, right_answers FROM topic_week WHERE is_used ORDER BY user_id, topic, week;

-- name: left_out
SELECT count(DISTINCT user_id) FROM topic_week WHERE NOT is_used;
