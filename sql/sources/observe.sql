-- What a source table holds, for the observation of its asset. The newest change is that of a time that has come: a row
-- dated ahead by mistake would keep the table fresh for years.

-- name: exam_results
SELECT
    count(*) AS rows,
    max(updated_at) FILTER (WHERE updated_at <= now()) AS newest_at,
    count(*) FILTER (WHERE status = 'failed') AS failed
FROM exam_results;

-- name: question
SELECT
    count(*) AS rows,
    max(updated_at) FILTER (WHERE updated_at <= now()) AS newest_at,
    count(*) FILTER (WHERE meta -> 'tags' @> '["anchor"]') AS anchors
FROM question;

-- name: interest_goal
SELECT
    count(*) AS rows,
    max(created_at) FILTER (WHERE created_at <= now()) AS newest_at,
    count(DISTINCT user_id) AS students
FROM interest_goal;
