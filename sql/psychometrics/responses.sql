-- Answers for calibration and scoring, and the parameters of tagged anchors.
-- Grain:  see each statement.
-- Inputs: attempt, question, mirt_fit_meta, mirt_item_params_history.
-- Params: see each statement. Windows are half open: from_at <= completed_at < as_of.

-- name: calibration
-- A limit keeps the newest answers.
-- Grain: student and item; attempt if first_only is false.
-- Params: from_at (NULL: the whole history), as_of, first_only, topic_id, subject_id, max_observations (NULL: all).
CREATE TEMP TABLE calibration_answer ON COMMIT DROP AS
SELECT
    a.user_id,
    a.item_id,
    a.correct,
    a.answer_no,
    a.topic_id,
    floor(extract(EPOCH FROM a.completed_at) / 86400)::integer AS day
FROM attempt AS a
WHERE
    a.completed_at >= COALESCE(CAST(:from_at AS timestamptz), '-infinity')
    AND a.completed_at < :as_of
    AND a.is_answered
    AND (NOT :first_only OR a.answer_no = 1)
    AND (CAST(:topic_id AS text) IS NULL OR :topic_id = ANY(a.topic_ids) OR EXISTS (
        SELECT FROM question AS q WHERE q.id = a.item_id AND q.topic_id = :topic_id
    ))
    AND (CAST(:subject_id AS integer) IS NULL OR a.exam_id = :subject_id)
ORDER BY a.completed_at DESC, a.id
LIMIT :max_observations;

-- name: calibration_rows
SELECT user_id, item_id, correct::integer AS correct, answer_no, day
FROM calibration_answer
ORDER BY user_id, item_id, answer_no;

-- name: calibration_topics
-- The topic of each item, from which rare items borrow. Grain: item.
SELECT item_id, min(topic_id) AS topic_id FROM calibration_answer GROUP BY item_id ORDER BY item_id;

-- name: drop_calibration
DROP TABLE calibration_answer;

-- name: overall
-- First answers that an ability uses.
-- Grain: student and item. Params: from_at, as_of.
CREATE TEMP TABLE scoring_answer ON COMMIT DROP AS
SELECT user_id, item_id, correct, topic_ids, completed_at
FROM attempt
WHERE completed_at >= :from_at AND completed_at < :as_of AND is_answered AND answer_no = 1;

-- name: overall_rows
SELECT user_id, item_id, correct::integer AS correct, completed_at FROM scoring_answer ORDER BY user_id, item_id;

-- name: topic_rows
-- An answer counts in each of its topics. Grain: student, topic and item.
SELECT a.user_id, a.item_id, a.correct::integer AS correct, a.completed_at, t.topic_id
FROM scoring_answer AS a
CROSS JOIN LATERAL unnest(a.topic_ids) AS t (topic_id)
ORDER BY a.user_id, t.topic_id, a.item_id;

-- name: windows
-- The first answer to the item inside the window.
-- Grain: student, window and item. Params: from_at (28 days before as_of), middle_at (14 days before as_of), as_of.
CREATE TEMP TABLE window_answer ON COMMIT DROP AS
SELECT DISTINCT ON (user_id, completed_at >= :middle_at, item_id)
    user_id,
    completed_at >= :middle_at AS is_recent,
    item_id,
    correct
FROM attempt
WHERE completed_at >= :from_at AND completed_at < :as_of AND is_answered
ORDER BY user_id, completed_at >= :middle_at, item_id, completed_at, answer_no;

-- name: window_rows
SELECT user_id, is_recent::integer AS is_recent, item_id, correct::integer AS correct
FROM window_answer
ORDER BY user_id, is_recent, item_id;

-- name: anchors
-- Items tagged 'anchor' that have parameters, which are on the platform's linked scale and define it. The standard errors
-- and the scale are those of the calibration named in `version`; parameters from elsewhere have none and count as exact. A tags value that is not an array does not make an anchor. The cast to numeric keeps one JSON number beyond double
-- precision from failing the whole query.
-- Grain: tagged item with parameters.
SELECT
    q.id::text AS item_id,
    (q.irt ->> 'a')::numeric AS a,
    (q.irt ->> 'b')::numeric AS b,
    (q.irt ->> 'c')::numeric AS c,
    linked.se_a,
    linked.se_b,
    linked.se_c,
    COALESCE(f.model_spec ->> 'scale', f.version) AS scale
FROM (
    SELECT id, seedtest_question_meta(meta) -> 'irt' AS irt
    FROM question
    WHERE seedtest_question_tags(meta) @> '["anchor"]'
    OFFSET 0
) AS q
LEFT JOIN mirt_item_params_history AS linked ON linked.run_id = q.irt ->> 'version' AND linked.item_id = q.id::text
LEFT JOIN mirt_fit_meta AS f ON f.run_id = linked.run_id
WHERE
    jsonb_typeof(q.irt -> 'a') = 'number'
    AND jsonb_typeof(q.irt -> 'b') = 'number'
    AND COALESCE(jsonb_typeof(q.irt -> 'c'), 'null') IN ('number', 'null')
ORDER BY q.id;

-- name: count_students
SELECT count(DISTINCT user_id) FROM scoring_answer;
