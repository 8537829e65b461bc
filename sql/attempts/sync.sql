-- Brings attempt_log and attempt_quarantine in step with exam_results.
-- Grain:   a batch of changed exam results, oldest first; each batch is one transaction.
-- Inputs:  exam_results (through attempt_element), attempt_sync, attempt_log, attempt_quarantine.
-- Params:  as_of (the instant of the run), exams (ids of the batch's exam results), timezone, full_compare (boolean),
--          max_questions (an exam with more is excluded as a whole).
-- Cost:    find_changed compares the keys and row versions of all exam results, and reads no JSON. Everything after it follows
--          the batch: history is reached by the keys in an array or by a lateral index look-up. A join would let the planner
--          read and parse the whole history as soon as it takes the batch for large.

-- name: find_changed
-- Exam results that are new, changed or gone. xmin changes with every update of a row, so a change that left updated_at
-- alone is found too. full_compare also compares the content, for example after a restore of the database.
SELECT COALESCE(e.id, s.exam_result_id) AS exam_result_id
FROM exam_results AS e
FULL JOIN attempt_sync AS s ON s.exam_result_id = e.id
WHERE
    s.exam_result_id IS NULL
    OR e.id IS NULL
    OR s.source_version <> e.xmin::text
    OR (
        :full_compare
        AND s.source_hash <> md5(ROW(
            e.user_id, e.session_id, e.exam_id, e.org_id, e.status, LEAST(e.created_at, e.updated_at), e.result_json
        )::text)::uuid
    )
    OR EXISTS (
        SELECT FROM attempt_quarantine AS z
        WHERE z.exam_result_id = e.id AND z.reason = 'time_in_future' AND z.completed_at < :as_of
    )
ORDER BY LEAST(e.created_at, e.updated_at) NULLS FIRST, exam_result_id;

-- name: take_batch
CREATE TEMP TABLE batch_exam ON COMMIT DROP AS
SELECT id AS exam_result_id, false AS is_gone FROM exam_results WHERE false;

-- name: fill_batch
-- Ids are integers, or UUIDs in a legacy database.
INSERT INTO batch_exam (exam_result_id, is_gone)
SELECT changed.id, NOT EXISTS (SELECT FROM exam_results AS e WHERE e.id = changed.id)
FROM unnest(:exams) AS changed (id);

-- name: index_batch
CREATE UNIQUE INDEX ON batch_exam (exam_result_id);

-- name: analyze_batch
ANALYZE batch_exam;

-- name: find_oversized
-- Exams with more questions than a person answers in one. They are set aside before they are taken apart.
CREATE TEMP TABLE oversized_exam ON COMMIT DROP AS
SELECT e.id AS exam_result_id, jsonb_array_length(j.questions) AS questions
FROM exam_results AS e
CROSS JOIN LATERAL seedtest_exam_questions(e.result_json) AS j (questions)
WHERE
    e.id = ANY(ARRAY(SELECT exam_result_id FROM batch_exam))
    AND e.status <> 'failed'
    AND CASE WHEN jsonb_typeof(j.questions) = 'array' THEN jsonb_array_length(j.questions) > :max_questions END;

-- name: stage_elements
CREATE TEMP TABLE staged_element ON COMMIT DROP AS
SELECT
    a.*,
    COALESCE(a.answered_at, a.exam_completed_at) AS completed_at,
    COALESCE(
        a.user_problem,
        CASE WHEN NOT seedtest_is_plain_text(a.user_id) THEN 'user_id_absurd' END,
        CASE WHEN NOT seedtest_is_plain_text(a.session_id) THEN 'session_id_absurd' END,
        a.element_problem,
        CASE
            WHEN EXISTS (
                SELECT FROM unnest(a.topic_ids || a.topic_id) AS t (topic) WHERE NOT seedtest_is_plain_text(t.topic)
            ) THEN 'topic_id_absurd'
        END,
        a.answer_problem,
        CASE
            WHEN COALESCE(a.answered_at, a.exam_completed_at) IS NULL THEN 'time_missing'
            WHEN COALESCE(a.answered_at, a.exam_completed_at) < TIMESTAMPTZ '1990-01-01 00:00:00+00' THEN 'time_before_1990'
            WHEN COALESCE(a.answered_at, a.exam_completed_at) >= :as_of + INTERVAL '1 day' THEN 'time_in_future'
        END
    ) AS excluded_reason
FROM attempt_element AS a
WHERE
    a.exam_result_id = ANY(ARRAY(SELECT exam_result_id FROM batch_exam))
    AND a.status <> 'failed'
    AND a.exam_result_id <> ALL(ARRAY(SELECT exam_result_id FROM oversized_exam));

-- name: stage_oversized
-- One row with ordinal 0 for the exam; its element is the number of questions.
INSERT INTO staged_element (
    exam_result_id, question_ordinal, n_elements, element, session_id, user_id, completed_at, excluded_reason
)
SELECT
    o.exam_result_id,
    0,
    1,
    to_jsonb(o.questions),
    e.session_id,
    e.user_id,
    LEAST(e.created_at, e.updated_at),
    'questions_too_many'
FROM oversized_exam AS o
INNER JOIN exam_results AS e ON e.id = o.exam_result_id
WHERE e.id = ANY(ARRAY(SELECT exam_result_id FROM oversized_exam));

-- name: analyze_elements
ANALYZE staged_element;

-- name: stage_attempts
-- Times are rounded as numerics, half away from zero, like in the legacy view; float8 would round 2.5 seconds to 2.
-- An attempt is its first element; further elements of it add their topics.
CREATE TEMP TABLE staged_attempt ON COMMIT DROP AS
WITH several AS (
    SELECT
        e.exam_result_id,
        e.attempt_ordinal,
        array_agg(DISTINCT t.topic COLLATE "C" ORDER BY t.topic COLLATE "C") AS topic_ids
    FROM staged_element AS e
    CROSS JOIN LATERAL unnest(e.topic_ids) AS t (topic)
    WHERE e.excluded_reason IS NULL AND e.n_elements > 1
    GROUP BY e.exam_result_id, e.attempt_ordinal
)
SELECT
    ('x' || substr(md5(
        e.exam_result_id::text || '-' || e.question_text
        || CASE WHEN e.occurrence_no > 1 THEN '-' || e.occurrence_no ELSE '' END
    ), 1, 16))::bit(64)::bigint AS id,
    e.student_id,
    e.item_id,
    COALESCE(e.is_correct, false) AS correct,
    COALESCE(round(e.time_spent_sec::numeric * 1000), 0)::integer AS response_time_ms,
    COALESCE(e.hints_used, 0) > 0 AS hint_used,
    e.completed_at,
    e.completed_at - make_interval(secs => round(COALESCE(e.time_spent_sec::numeric, 0))::float8) AS started_at,
    NULL::integer AS attempt_no,
    e.session_id,
    COALESCE(e.topic_id, s.topic_ids[1]) AS topic_id,
    e.user_id,
    e.exam_result_id,
    e.question_ordinal,
    e.exam_id,
    e.org_id,
    e.is_answered,
    NULL::integer AS answer_no,
    e.time_spent_sec * 1000 AS recorded_time_ms,
    e.hints_used,
    e.occurrence_no,
    CASE WHEN cardinality(COALESCE(s.topic_ids, e.topic_ids)) > 1 THEN COALESCE(s.topic_ids, e.topic_ids) END AS topic_ids,
    e.n_elements
FROM staged_element AS e
LEFT JOIN several AS s ON s.exam_result_id = e.exam_result_id AND s.attempt_ordinal = e.attempt_ordinal
WHERE e.excluded_reason IS NULL AND e.question_ordinal = e.attempt_ordinal;

-- name: analyze_attempts
ANALYZE staged_attempt;

-- name: number_attempts
-- Numbers a student's attempts at an item, over the batch and the log's attempts of the same pairs.
CREATE TEMP TABLE numbered ON COMMIT DROP AS
WITH touched_pair AS (
    SELECT student_id, item_id FROM staged_attempt
    UNION
    SELECT l.student_id, l.item_id FROM attempt_log AS l
    WHERE l.exam_result_id = ANY(ARRAY(SELECT exam_result_id FROM batch_exam))
),
occurrence AS (
    SELECT student_id, item_id, user_id, completed_at, exam_result_id, question_ordinal, is_answered, true AS is_staged,
        NULL::integer AS old_attempt_no, NULL::integer AS old_answer_no
    FROM staged_attempt
    UNION ALL
    SELECT l.student_id, l.item_id, l.user_id, l.completed_at, l.exam_result_id, l.question_ordinal, l.is_answered, false,
        l.attempt_no, l.answer_no
    FROM touched_pair AS p
    CROSS JOIN LATERAL (
        SELECT * FROM attempt_log AS o WHERE o.student_id = p.student_id AND o.item_id = p.item_id OFFSET 0
    ) AS l
    WHERE NOT EXISTS (SELECT FROM batch_exam AS b WHERE b.exam_result_id = l.exam_result_id)
)
SELECT
    exam_result_id,
    question_ordinal,
    is_staged,
    old_attempt_no,
    old_answer_no,
    row_number() OVER (
        PARTITION BY student_id, item_id ORDER BY completed_at, exam_result_id, question_ordinal
    )::integer AS attempt_no,
    CASE WHEN is_answered THEN row_number() OVER (
        PARTITION BY user_id, item_id, is_answered ORDER BY completed_at, exam_result_id, question_ordinal
    ) END::integer AS answer_no
FROM occurrence;

-- name: analyze_numbered
ANALYZE numbered;

-- name: apply_numbers_to_staged
UPDATE staged_attempt AS s
SET attempt_no = n.attempt_no, answer_no = n.answer_no
FROM numbered AS n
WHERE n.is_staged AND n.exam_result_id = s.exam_result_id AND n.question_ordinal = s.question_ordinal;

-- name: find_renumbered
-- Attempts outside the batch whose numbers change.
CREATE TEMP TABLE renumbered ON COMMIT DROP AS
SELECT * FROM numbered
WHERE NOT is_staged AND (attempt_no, answer_no) IS DISTINCT FROM (old_attempt_no, old_answer_no);

-- name: analyze_renumbered
ANALYZE renumbered;

-- name: touch_days
-- Days with attempts that changed, or that became or ceased to be a first answer (readers use nothing else of the
-- numbering). Each day has one row with the id of its last change. A reader who has read up to any id finds the same later
-- days as in a log of all changes, and the table does not grow with the number of changes.
INSERT INTO attempt_touched_day (day, touched_at, attempts)
SELECT d.day, :as_of, count(*)
FROM (
    SELECT o.completed_at AS old_at, s.completed_at AS new_at
    FROM (
        SELECT * FROM attempt_log WHERE exam_result_id = ANY(ARRAY(SELECT exam_result_id FROM batch_exam))
    ) AS o
    FULL JOIN staged_attempt AS s ON s.exam_result_id = o.exam_result_id AND s.question_ordinal = o.question_ordinal
    WHERE
        (
            o.item_id, o.user_id, o.correct, o.is_answered, o.recorded_time_ms, o.hints_used, o.completed_at, o.topic_id,
            o.topic_ids, o.session_id
        )
        IS DISTINCT FROM
        (
            s.item_id, s.user_id, s.correct, s.is_answered, s.recorded_time_ms, s.hints_used, s.completed_at, s.topic_id,
            s.topic_ids, s.session_id
        )
        OR (o.answer_no = 1) IS DISTINCT FROM (s.answer_no = 1)
    UNION ALL
    SELECT l.completed_at, NULL
    FROM renumbered AS n
    INNER JOIN attempt_log AS l ON l.exam_result_id = n.exam_result_id AND l.question_ordinal = n.question_ordinal
    WHERE
        l.exam_result_id = ANY(ARRAY(SELECT exam_result_id FROM renumbered))
        AND (n.answer_no = 1) IS DISTINCT FROM (n.old_answer_no = 1)
) AS c
CROSS JOIN LATERAL (
    SELECT DISTINCT (v.instant AT TIME ZONE :timezone)::date AS day FROM (VALUES (c.old_at), (c.new_at)) AS v (instant)
    WHERE v.instant IS NOT NULL
) AS d
GROUP BY d.day
ORDER BY d.day
ON CONFLICT (day) DO UPDATE
SET id = DEFAULT, touched_at = excluded.touched_at, attempts = attempt_touched_day.attempts + excluded.attempts;

-- name: renumber_others
UPDATE attempt_log AS l
SET attempt_no = n.attempt_no, answer_no = n.answer_no
FROM renumbered AS n
WHERE
    l.exam_result_id = ANY(ARRAY(SELECT exam_result_id FROM renumbered))
    AND n.exam_result_id = l.exam_result_id AND n.question_ordinal = l.question_ordinal;

-- name: stage_quarantine
CREATE TEMP TABLE staged_quarantine ON COMMIT DROP AS
SELECT
    e.exam_result_id,
    e.question_ordinal,
    r.reason,
    r.is_excluded,
    d.detail,
    CASE
        WHEN length(e.element::text) <= 2000 THEN e.element
        ELSE to_jsonb(left(e.element::text, 2000))
    END AS element,
    e.session_id,
    e.user_id,
    e.completed_at,
    :as_of AS detected_at
FROM staged_element AS e
CROSS JOIN LATERAL (
    SELECT e.excluded_reason AS reason, true AS is_excluded WHERE e.excluded_reason IS NOT NULL
    UNION ALL SELECT e.time_problem, false WHERE e.excluded_reason IS NULL AND e.time_problem IS NOT NULL
    UNION ALL SELECT e.hints_problem, false WHERE e.excluded_reason IS NULL AND e.hints_problem IS NOT NULL
    UNION ALL SELECT e.answered_at_problem, false WHERE e.excluded_reason IS NULL AND e.answered_at_problem IS NOT NULL
    UNION ALL SELECT e.topic_problem, false WHERE e.excluded_reason IS NULL AND e.topic_problem IS NOT NULL
) AS r
INNER JOIN (VALUES
    ('user_id_missing', 'exam_results.user_id is NULL; set it and the attempts appear'),
    ('user_id_empty', 'exam_results.user_id is empty; set it and the attempts appear'),
    ('user_id_absurd', 'exam_results.user_id has more than 200 characters, a control character or a line break; correct it'),
    (
        'session_id_absurd',
        'exam_results.session_id has more than 200 characters, a control character or a line break; correct it'
    ),
    ('topic_id_absurd', 'the topic has more than 200 characters, a control character or a line break; correct it'),
    ('questions_too_many', 'the exam has more than 100,000 questions; store it as several exams'),
    ('questions_not_array', 'result_json has no array of questions; store {"questions": […]}, or nothing as {}'),
    ('element_not_object', 'an element of questions[] is not an object; store the exam again'),
    ('question_id_missing', 'question_id is missing, null or empty; store the exam again with it'),
    ('question_id_not_integer', 'question_id is not a 64-bit integer; use the question''s number'),
    ('answer_not_boolean', 'is_correct or correct is not a boolean; use true, false or null'),
    ('time_missing', 'neither the answer nor the exam has a time; set answered_at or created_at'),
    ('time_before_1990', 'the time of the answer is before 1990; correct answered_at or created_at'),
    ('time_in_future', 'the time of the answer is in the future; correct it, or the platform includes it when that time comes'),
    ('time_spent_not_number', 'time_spent_sec is not a number of seconds from 0 to 2,147,483; kept as not recorded'),
    ('hints_not_integer', 'used_hints is not a whole number from 0; kept as not recorded'),
    ('topic_not_text', 'topic is not a text, and topics is not an array of texts; kept as not recorded'),
    ('answered_at_not_instant', 'answered_at is not an ISO 8601 instant with an offset; the exam''s time is used')
) AS d (reason, detail) ON d.reason = r.reason;

-- name: record_sync
INSERT INTO attempt_sync (exam_result_id, source_version, source_hash, n_elements, synced_at)
SELECT
    e.id,
    e.xmin::text,
    md5(ROW(
        e.user_id, e.session_id, e.exam_id, e.org_id, e.status, LEAST(e.created_at, e.updated_at), e.result_json
    )::text)::uuid,
    CASE
        WHEN e.status = 'failed' THEN 0
        WHEN e.id = ANY(ARRAY(SELECT exam_result_id FROM oversized_exam)) THEN 1
        WHEN jsonb_typeof(j.questions) = 'array' THEN jsonb_array_length(j.questions)
        WHEN jsonb_typeof(j.questions) <> 'null' THEN 1
        ELSE 0
    END,
    :as_of
FROM exam_results AS e
CROSS JOIN LATERAL seedtest_exam_questions(e.result_json) AS j (questions)
WHERE e.id = ANY(ARRAY(SELECT exam_result_id FROM batch_exam))
ON CONFLICT (exam_result_id) DO UPDATE
SET source_version = excluded.source_version, source_hash = excluded.source_hash,
    n_elements = excluded.n_elements, synced_at = excluded.synced_at;

-- name: forget_gone
DELETE FROM attempt_sync
WHERE exam_result_id = ANY(ARRAY(SELECT exam_result_id FROM batch_exam WHERE is_gone));
