-- What P by Normal approximation needs at as_of: the newest ability and the target of each student.
-- Grain:  student of the population. Inputs: population, mirt_ability, interest_goal.
-- Params: as_of, week_start, default_target.
-- The target is the mean of the student's goals weighted by priority (equal weights where all are 0).

-- name: load
SELECT
    p.user_id,
    m.theta,
    m.se,
    m.n_answers,
    COALESCE(g.target, :default_target) AS target,
    CASE WHEN g.target IS NULL THEN 'default' ELSE 'interest_goal' END AS target_source
FROM population AS p
LEFT JOIN LATERAL (
    SELECT a.theta, a.se, a.n_answers
    FROM mirt_ability AS a
    WHERE a.user_id = p.user_id AND a.week_start <= :week_start
    ORDER BY a.fitted_at DESC
    LIMIT 1
) AS m ON true
LEFT JOIN (
    SELECT
        user_id,
        COALESCE(
            sum(target_level * priority) / NULLIF(sum(priority), 0),
            avg(target_level)
        )::float8 AS target
    FROM interest_goal
    WHERE target_level IS NOT NULL AND created_at < :as_of
    GROUP BY user_id
) AS g ON g.user_id = p.user_id
ORDER BY p.user_id;
