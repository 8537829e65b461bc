-- What a source table holds, for the observation of its asset.

-- name: exam_results
SELECT count(*) AS rows, max(updated_at) AS newest_at, count(*) FILTER (WHERE status = 'failed') AS failed FROM exam_results;

-- name: question
SELECT
    count(*) AS rows,
    max(updated_at) AS newest_at,
    count(*) FILTER (WHERE meta -> 'tags' @> '["anchor"]') AS anchors
FROM question;

-- name: interest_goal
SELECT count(*) AS rows, max(created_at) AS newest_at, count(DISTINCT user_id) AS students FROM interest_goal;
