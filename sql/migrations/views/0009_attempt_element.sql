-- Defines the view attempt_element: every field of an element beside what is wrong with it.
-- Grain:   one element of questions[] of an exam; one row with ordinal 0 if no array of questions was understood.
-- Inputs:  exam_results. Params: none.
-- Casts:   a CASE on the form of the text guards every cast, so one malformed element never breaks a query.
-- Attempt: elements with the same item and answered_at that differ in the topic only are one attempt with several topics.
--          Without answered_at, a repeated item is a repeated question. attempt_ordinal is the attempt's first element.
-- Spaces:  the patterns list the six that a cast trims. \s also matches Unicode spaces, on which a cast raises.
-- Speed:   all window functions are inside the LATERAL, so the planner can push a predicate on the exam to the table.
CREATE OR REPLACE VIEW attempt_element AS
WITH exam AS (
    SELECT
        e.id AS exam_result_id,
        e.session_id,
        e.user_id,
        e.exam_id,
        e.org_id,
        e.status,
        -- Rescoring moves updated_at forward and an import may set it back: the earlier time is the time of answering.
        LEAST(e.created_at, e.updated_at) AS exam_completed_at,
        CASE
            WHEN e.user_id IS NULL THEN 'user_id_missing'
            WHEN btrim(e.user_id) = '' THEN 'user_id_empty'
        END AS user_problem,
        -- Exactly the UUIDs of 36 characters that PostgreSQL accepts; 36 hyphens are not one.
        CASE
            WHEN length(e.user_id) = 36 AND e.user_id ~* '^[0-9a-f]{4}(-?[0-9a-f]{4}){7}$' THEN e.user_id::uuid
            ELSE md5(e.user_id)::uuid
        END AS student_id,
        j.questions
    FROM exam_results AS e
    CROSS JOIN LATERAL seedtest_exam_questions(e.result_json) AS j (questions)
)
SELECT
    x.exam_result_id,
    x.session_id,
    x.user_id,
    x.exam_id,
    x.org_id,
    x.status,
    x.exam_completed_at,
    x.user_problem,
    x.student_id,
    q.question_ordinal,
    q.element,
    q.element_problem,
    q.question_text,
    q.item_id,
    q.occurrence_no,
    q.topic_id,
    q.is_answered,
    q.is_correct,
    q.answer_problem,
    q.time_spent_sec,
    q.time_problem,
    q.hints_used,
    q.hints_problem,
    q.answered_at,
    q.answered_at_problem,
    q.topic_ids,
    q.topic_problem,
    q.attempt_ordinal,
    q.n_elements
FROM exam AS x
CROSS JOIN LATERAL (
    WITH field AS (
        SELECT
            t.question_ordinal,
            t.element,
            CASE
                WHEN t.element_type <> 'object' THEN 'element_not_object'
                WHEN t.question_text IS NULL OR btrim(t.question_text) = '' THEN 'question_id_missing'
                WHEN NOT t.is_item THEN 'question_id_not_integer'
            END AS element_problem,
            t.question_text,
            CASE WHEN t.is_item THEN t.question_text::bigint END AS item_id,
            CASE WHEN jsonb_typeof(t.topic) IN ('string', 'number') THEN NULLIF(t.topic #>> '{}', '') ELSE t.topic_ids[1] END
                AS topic_id,
            t.answer IS NOT NULL AND t.answer_form AS is_answered,
            CASE WHEN t.answer_form THEN t.answer::boolean END AS is_correct,
            CASE WHEN NOT t.answer_form THEN 'answer_not_boolean' END AS answer_problem,
            CASE WHEN t.time_form THEN t.time_text::float8 END AS time_spent_sec,
            CASE WHEN NOT t.time_form THEN 'time_spent_not_number' END AS time_problem,
            CASE WHEN t.hints_form THEN t.hints_text::integer END AS hints_used,
            CASE WHEN NOT t.hints_form THEN 'hints_not_integer' END AS hints_problem,
            CASE WHEN t.at_form THEN t.at_text::timestamptz END AS answered_at,
            CASE WHEN NOT t.at_form THEN 'answered_at_not_instant' END AS answered_at_problem,
            NULLIF(t.topic_ids, ARRAY[NULL]::text[]) AS topic_ids,
            CASE WHEN t.topic_ids = ARRAY[NULL]::text[] THEN 'topic_not_text' END AS topic_problem
        FROM (
            SELECT
                r.*,
                CASE
                    WHEN r.topics IS NULL AND jsonb_typeof(r.topic) = 'string'
                        THEN CASE WHEN r.topic <> '""' THEN ARRAY[r.topic #>> '{}'] END
                    WHEN r.topics IS NOT NULL OR r.topic IS NOT NULL THEN seedtest_topics(r.topic, r.topics)
                END AS topic_ids,
                CASE
                    WHEN r.question_text ~ '^[ \t\n\v\f\r]*[+-]?[0-9]{1,18}[ \t\n\v\f\r]*$' THEN true
                    WHEN r.question_text ~ '^[ \t\n\v\f\r]*[+-]?[0-9]{19}[ \t\n\v\f\r]*$'
                        THEN r.question_text::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
                    ELSE false
                END AS is_item,
                -- NULL means absent, true means well formed, false means malformed.
                r.answer IS NULL OR lower(r.answer) IN
                    ('true', 't', 'yes', 'y', 'on', '1', 'false', 'f', 'no', 'n', 'off', '0') AS answer_form,
                CASE
                    WHEN r.time_text ~ '^[ \t\n\v\f\r]*\+?[0-9]{1,12}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?[ \t\n\v\f\r]*$'
                        THEN r.time_text::numeric <= 2147483
                    WHEN r.time_text IS NOT NULL THEN false
                END AS time_form,
                CASE
                    WHEN r.hints_text IS NOT NULL
                    THEN r.hints_text ~ '^[ \t\n\v\f\r]*\+?[0-9]{1,9}[ \t\n\v\f\r]*$'
                END AS hints_form,
                CASE
                    WHEN r.at_text ~ ('^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]'
                        || '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?'
                        || '(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)$')
                        THEN substr(r.at_text, 9, 2)::integer <= extract(
                            DAY FROM make_date(substr(r.at_text, 1, 4)::integer, substr(r.at_text, 6, 2)::integer, 1)
                            + INTERVAL '1 month -1 day')
                    WHEN r.at_text IS NOT NULL THEN false
                END AS at_form
            FROM (
                SELECT
                    u.ordinality::integer AS question_ordinal,
                    u.element,
                    jsonb_typeof(u.element) AS element_type,
                    u.element ->> 'question_id' AS question_text,
                    u.element -> 'topic' AS topic,
                    u.element -> 'topics' AS topics,
                    COALESCE(NULLIF(u.element ->> 'is_correct', ''), NULLIF(u.element ->> 'correct', '')) AS answer,
                    NULLIF(u.element ->> 'time_spent_sec', '') AS time_text,
                    NULLIF(u.element ->> 'used_hints', '') AS hints_text,
                    NULLIF(u.element ->> 'answered_at', '') AS at_text
                FROM jsonb_array_elements(
                    CASE WHEN jsonb_typeof(x.questions) = 'array' THEN x.questions ELSE '[]'::jsonb END
                ) WITH ORDINALITY AS u (element, ordinality)
                -- OFFSET 0 keeps the planner from repeating an expression at every use.
                OFFSET 0
            ) AS r
            OFFSET 0
        ) AS t
        UNION ALL
        -- An exam without questions gives no row. One whose questions are not an array is malformed.
        SELECT
            0, x.questions, 'questions_not_array', NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
            NULL, NULL
        WHERE x.questions IS NOT NULL AND jsonb_typeof(x.questions) NOT IN ('array', 'null')
    ),
    grouped AS (
        SELECT
            f.*,
            CASE WHEN f.has_instant THEN min(f.question_ordinal) OVER same_attempt ELSE f.question_ordinal END AS attempt_ordinal,
            CASE WHEN f.has_instant THEN (count(*) OVER same_attempt)::integer ELSE 1 END AS n_elements
        FROM (
            SELECT
                *,
                answered_at IS NOT NULL AND element_problem IS NULL AND answer_problem IS NULL AS has_instant
            FROM field
        ) AS f
        WINDOW same_attempt AS (
            PARTITION BY f.item_id, f.answered_at, f.is_correct, f.time_spent_sec, f.hints_used, f.has_instant
        )
    )
    SELECT g.*, dense_rank() OVER (PARTITION BY g.item_id ORDER BY g.attempt_ordinal)::integer AS occurrence_no
    FROM grouped AS g
) AS q;

COMMENT ON VIEW attempt_element IS
'Elements of exam_results.questions[] taken apart without a cast that can fail; what is wrong stands beside them.';
