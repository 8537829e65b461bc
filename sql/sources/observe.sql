-- A summary of a source table for the observation of its asset. The newest change ignores times in the future and
-- before 1990: one row with a wrong date would keep the table fresh for years, and Python has no date for '-infinity'.
-- Grain:  one row. Inputs: exam_results, question, interest_goal. Params: none.

-- name: exam_results
SELECT
    count(*) AS rows,
    max(updated_at) FILTER (WHERE updated_at BETWEEN '1990-01-01' AND now()) AS newest_at,
    count(*) FILTER (WHERE status = 'failed') AS failed
FROM exam_results;

-- name: question
SELECT
    count(*) AS rows,
    max(updated_at) FILTER (WHERE updated_at BETWEEN '1990-01-01' AND now()) AS newest_at,
    count(*) FILTER (WHERE seedtest_question_tags(meta) @> '["anchor"]') AS anchors,
    count(*) FILTER (WHERE seedtest_question_meta(meta) IS NULL) AS meta_not_understood
FROM question;

-- name: interest_goal
SELECT
    count(*) AS rows,
    max(created_at) FILTER (WHERE created_at BETWEEN '1990-01-01' AND now()) AS newest_at,
    count(DISTINCT user_id) AS students
FROM interest_goal;
