-- Counts of answers and right answers for the mixed model. Every answer counts, once: in the first of its topics.
-- Grain:  student, topic ('unknown' where the attempt has none) and calendar week.
-- Inputs: attempt. Params: from_at, as_of (half open), first_monday (of the look-back), timezone, min_observations,
--         max_students.

-- name: stage
-- Of more than max_students students, a sample is used: every k-th in the order of their number of weeks, so that each
-- number of weeks has its share, and within it by a hash of the id, so that a week has the same sample each time.
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
),
ranked AS (
    SELECT
        user_id,
        row_number() OVER (ORDER BY count(DISTINCT week), md5(user_id), user_id) AS position,
        count(*) OVER () AS students
    FROM cells
    GROUP BY user_id
    HAVING sum(attempts) >= :min_observations
)

SELECT
    c.*,
    r.user_id IS NOT NULL AS is_used,
    COALESCE(
        r.position * LEAST(:max_students, r.students) / r.students
        > (r.position - 1) * LEAST(:max_students, r.students) / r.students,
        false
    ) AS is_sampled
FROM cells AS c
LEFT JOIN ranked AS r ON r.user_id = c.user_id;

-- name: rows
SELECT user_id, topic, week, attempts, right_answers FROM topic_week WHERE is_sampled ORDER BY user_id, topic, week;

-- name: unsampled
SELECT DISTINCT user_id FROM topic_week WHERE is_used AND NOT is_sampled ORDER BY user_id;

-- name: left_out
SELECT count(DISTINCT user_id) FROM topic_week WHERE NOT is_used;
