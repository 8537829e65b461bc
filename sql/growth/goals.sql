-- The goal of each student as of an instant: one target (an ability on the platform's linked scale) and one day.
-- Grain:  student with a goal. Inputs: interest_goal.
-- Params: as_of, as_of_date (the first day whose data is not visible).
-- Several goals are combined: the mean of their targets weighted by priority (equal weights if all priorities are 0), and
-- the nearest of their days. A goal whose day has passed, or that was set after as_of, does not count.

-- name: stage
CREATE TEMP TABLE student_goal ON COMMIT DROP AS
SELECT
    user_id,
    COALESCE(
        sum(target_level * GREATEST(priority, 0)) / NULLIF(sum(GREATEST(priority, 0)), 0),
        avg(target_level)
    )::float8 AS target,
    -- Later days, including 'infinity', are cut to ten years.
    min(LEAST(target_date, CAST(:as_of_date AS date) + 3653)) FILTER (WHERE target_date IS NOT NULL) AS goal_date
FROM interest_goal
WHERE
    target_level IS NOT NULL
    AND target_level <> 'NaN'
    AND created_at < :as_of
    AND (target_date IS NULL OR target_date >= :as_of_date)
GROUP BY user_id;

-- name: rows
SELECT user_id, target, goal_date FROM student_goal ORDER BY user_id;
