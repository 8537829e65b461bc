-- Builds exams from the staged attempts.
-- Grain:   session, one row of exam_results; bucket by bucket. An attempt is the student, the item and the instant.
-- Inputs:  load_attempt, load_row, load_stored, load_bucket (see stage.sql), exam_results.
-- Params:  bucket, timezone, shift_days (whole weeks in days; the wall-clock time stays), gap_minutes (the pause that ends a
--          derived session), readable (a JSON path that matches readable attempts).
-- Order:   the same attempts give the same exams, in any files and in any order of the files. The stored
--          exams of the students that overlap the log are taken apart, merged with the log by attempt, and cut again.
--          Only a contradiction depends on the order: the later log corrects the earlier one.

-- name: resolve_exam_keys
-- Sessions whose exam cannot have the session's id, because another user has it in the log or in the database. An exam that
-- the user already has keeps its id, so the result does not depend on the order in which logs are loaded.
CREATE TEMP TABLE load_exam_key ON COMMIT DROP AS
WITH used AS (
    SELECT user_id, session_id, session_id || '@' || left(md5(user_id), 16) AS own_id
    FROM load_attempt
    WHERE session_id IS NOT NULL
    GROUP BY user_id, session_id
),
shared AS (
    SELECT session_id FROM used GROUP BY session_id HAVING count(*) > 1
)
SELECT u.user_id, u.session_id, u.own_id AS exam_session_id
FROM used AS u
LEFT JOIN shared AS s ON s.session_id = u.session_id
LEFT JOIN exam_results AS plain ON plain.session_id = u.session_id
LEFT JOIN exam_results AS own ON own.session_id = u.own_id AND own.user_id = u.user_id
WHERE
    (s.session_id IS NOT NULL OR plain.session_id IS NOT NULL OR own.session_id IS NOT NULL)
    AND NOT (plain.session_id IS NOT NULL AND plain.user_id IS NOT DISTINCT FROM u.user_id);

-- name: empty_bucket
TRUNCATE load_row, load_stored, load_bucket;

-- name: fill_rows
-- logged_at is the time in the log: it names a derived session, so a log that is shifted further keeps its exams.
INSERT INTO load_row
SELECT
    r.user_id,
    COALESCE(k.exam_session_id, r.session_id),
    r.item_id,
    r.topic,
    r.is_correct,
    r.time_spent_sec,
    r.used_hints,
    CASE
        WHEN :shift_days = 0 THEN r.answered_at
        ELSE (r.answered_at AT TIME ZONE :timezone + make_interval(days => :shift_days)) AT TIME ZONE :timezone
    END,
    r.rescored_at,
    r.answered_at
FROM load_attempt AS r
LEFT JOIN load_exam_key AS k ON k.user_id = r.user_id AND k.session_id = r.session_id
WHERE r.bucket = :bucket;

-- name: analyze_rows
ANALYZE load_row;

-- name: find_stored
-- The stored exams that the log may change: those of its sessions, and those of its students that overlap its time by less
-- than a pause. Only exams of this loader, and by time only those in which another program changed nothing. Times are
-- compared as ISO texts in UTC, because a cast raises on a text that another program wrote. A shifted exam has other
-- times: it is replaced whole. The look-up is lateral, so it follows the students of the log and not the history.
INSERT INTO load_stored
SELECT e.session_id, e.user_id, e.session_id ~ ('^[0-9]{8}T[0-9]{6}Z@' || left(md5(e.user_id), 16) || '$'), q.n_elements
FROM (
    SELECT
        user_id,
        array_agg(DISTINCT exam_session_id) AS session_ids,
        min(answered_at) - make_interval(mins => :gap_minutes) AS from_at,
        max(answered_at) + make_interval(mins => :gap_minutes) AS to_at
    FROM load_row
    GROUP BY user_id
) AS w
CROSS JOIN LATERAL (
    SELECT x.session_id, x.user_id, x.result_json -> 'questions' AS questions
    FROM exam_results AS x
    WHERE
        x.user_id = w.user_id
        AND (x.created_at >= w.from_at OR x.session_id = ANY(w.session_ids))
        AND x.result_json #>> '{metadata,source}' = 'attempt_log'
        AND x.result_json #> '{metadata,shifted_days}' IS NULL
        AND jsonb_typeof(x.result_json -> 'questions') = 'array'
        AND (
            x.session_id = ANY(w.session_ids)
            OR (x.result_json #>> '{questions,0,answered_at}') COLLATE "C" <= to_jsonb(w.to_at) #>> '{}'
        )
    OFFSET 0
) AS e
CROSS JOIN LATERAL (
    SELECT
        count(*) AS n_elements,
        count(*) FILTER (WHERE element @? :readable) AS n_readable
    FROM jsonb_array_elements(e.questions) AS element
) AS q
WHERE q.n_readable = q.n_elements OR e.session_id = ANY(w.session_ids);

-- name: add_stored
-- A row for each topic of each stored attempt. Unreadable attempts are not kept: the log replaces them.
INSERT INTO load_row
SELECT
    s.user_id,
    CASE WHEN NOT s.is_derived THEN s.exam_session_id END,
    q.question_id,
    t.topic,
    q.is_correct,
    q.time_spent_sec,
    q.used_hints,
    q.answered_at,
    q.rescored_at,
    q.answered_at,
    s.exam_session_id
FROM load_stored AS s
INNER JOIN exam_results AS e ON e.session_id = s.exam_session_id
-- A plan may take exams apart before it joins them, also exams of another shape.
CROSS JOIN LATERAL jsonb_array_elements(
    CASE WHEN jsonb_typeof(e.result_json -> 'questions') = 'array' THEN e.result_json -> 'questions' ELSE '[]' END
) AS element
CROSS JOIN LATERAL jsonb_to_record(CASE WHEN element @? :readable THEN element ELSE '{}' END) AS q (
    question_id bigint, is_correct boolean, time_spent_sec double precision, used_hints integer,
    answered_at timestamptz, rescored_at timestamptz
)
CROSS JOIN LATERAL unnest(COALESCE(seedtest_topics(element -> 'topic', element -> 'topics'), '{NULL}')) AS t (topic)
WHERE q.question_id IS NOT NULL;

-- name: find_shifted
-- In a shifted load: the derived exams of the students from the time of this log. Those that it does not have are removed.
INSERT INTO load_stored
SELECT e.session_id, e.user_id, true, 0
FROM (
    SELECT user_id, min(logged_at) AS from_at, max(logged_at) AS to_at
    FROM load_row
    WHERE exam_session_id IS NULL
    GROUP BY user_id
) AS w
CROSS JOIN LATERAL (
    SELECT x.session_id, x.user_id
    FROM exam_results AS x
    WHERE
        x.user_id = w.user_id
        AND x.session_id ~ ('^[0-9]{8}T[0-9]{6}Z@' || left(md5(x.user_id), 16) || '$')
        AND x.session_id COLLATE "C" >= to_char(w.from_at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"')
        AND x.session_id COLLATE "C" <= to_char(w.to_at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z@g"')
        AND x.result_json #>> '{metadata,source}' = 'attempt_log'
    OFFSET 0
) AS e;

-- name: merge_attempts
-- One row for each attempt. The best row gives the answer: the one that was scored last; then an answer before none, the log
-- before what is stored, wrong before right. Time and hints that it lacks come from the next row that has them. The session
-- is the given one; of several, the first by name. 'general' stands for a missing topic.
INSERT INTO load_bucket
WITH ranked AS (
    SELECT
        r.*,
        r.stored_in IS NULL AS is_new,
        count(*) OVER attempt AS n_rows,
        row_number() OVER (
            attempt ORDER BY
                r.rescored_at DESC NULLS LAST, r.is_correct IS NULL, r.stored_in IS NOT NULL, r.is_correct,
                r.time_spent_sec, r.used_hints, r.exam_session_id COLLATE "C", r.topic COLLATE "C"
        ) AS nth
    FROM load_row AS r
    WINDOW attempt AS (PARTITION BY r.user_id, r.item_id, r.answered_at)
),
several AS (
    SELECT
        user_id,
        item_id,
        answered_at,
        min(exam_session_id COLLATE "C") AS exam_session_id,
        array_agg(DISTINCT topic COLLATE "C" ORDER BY topic COLLATE "C") FILTER (WHERE topic <> 'general') AS topics,
        (array_agg(time_spent_sec ORDER BY nth) FILTER (WHERE time_spent_sec IS NOT NULL))[1] AS time_spent_sec,
        (array_agg(used_hints ORDER BY nth) FILTER (WHERE used_hints IS NOT NULL))[1] AS used_hints,
        min(logged_at) AS logged_at,
        min(stored_in) AS stored_in,
        count(DISTINCT stored_in) AS n_stored,
        count(*) FILTER (WHERE is_new) AS n_new,
        count(DISTINCT ROW(topic, exam_session_id, is_correct, time_spent_sec, used_hints, rescored_at)) FILTER (WHERE is_new)
            AS n_distinct,
        count(DISTINCT ROW(exam_session_id, is_correct, time_spent_sec, used_hints, rescored_at)) FILTER (WHERE is_new)
            AS n_answers
    FROM ranked
    WHERE n_rows > 1
    GROUP BY user_id, item_id, answered_at
)
SELECT
    r.user_id,
    COALESCE(s.exam_session_id, r.exam_session_id),
    COALESCE(s.exam_session_id, r.exam_session_id) IS NULL,
    r.item_id,
    COALESCE(s.topics, CASE WHEN r.topic <> 'general' THEN ARRAY[r.topic] END, ARRAY['general']),
    r.is_correct,
    COALESCE(s.time_spent_sec, r.time_spent_sec),
    COALESCE(s.used_hints, r.used_hints),
    r.answered_at,
    r.rescored_at,
    COALESCE(s.logged_at, r.logged_at),
    COALESCE(s.stored_in, r.stored_in),
    COALESCE(s.n_stored, CASE WHEN r.is_new THEN 0 ELSE 1 END),
    r.is_new,
    COALESCE(s.n_new, CASE WHEN r.is_new THEN 1 ELSE 0 END),
    COALESCE(s.n_distinct, CASE WHEN r.is_new THEN 1 ELSE 0 END),
    COALESCE(s.n_answers, CASE WHEN r.is_new THEN 1 ELSE 0 END)
FROM ranked AS r
LEFT JOIN several AS s ON s.user_id = r.user_id AND s.item_id = r.item_id AND s.answered_at = r.answered_at
WHERE r.nth = 1;

-- name: cut_sessions
-- Attempts without a session: a pause of more than gap_minutes starts a new one, named by the time of its first answer.
WITH followed AS (
    SELECT
        ctid AS row_id,
        user_id,
        logged_at,
        logged_at - lag(logged_at) OVER (PARTITION BY user_id ORDER BY logged_at) > make_interval(mins => :gap_minutes)
            AS is_first
    FROM load_bucket
    WHERE is_derived
),
numbered AS (
    SELECT f.*, count(*) FILTER (WHERE f.is_first) OVER (PARTITION BY f.user_id ORDER BY f.logged_at) AS session_no
    FROM followed AS f
),
named AS (
    SELECT
        n.row_id,
        to_char(
            min(n.logged_at) OVER (PARTITION BY n.user_id, n.session_no) AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"'
        ) || '@' || left(md5(n.user_id), 16) AS exam_session_id
    FROM numbered AS n
)
UPDATE load_bucket AS b
SET exam_session_id = n.exam_session_id
FROM named AS n
WHERE b.ctid = n.row_id;

-- name: drop_replaced
-- With --replace: stored attempts that the log lacks leave the sessions that it has. Sessions are cut again afterwards.
DELETE FROM load_bucket AS b
WHERE
    b.n_new = 0
    AND EXISTS (SELECT FROM load_bucket AS r WHERE r.exam_session_id = b.exam_session_id AND r.n_new > 0);

-- name: drop_untouched
-- Stored exams that keep exactly their attempts: nothing to write.
WITH untouched AS (
    SELECT b.exam_session_id
    FROM load_bucket AS b
    GROUP BY b.exam_session_id
    HAVING
        sum(b.n_new) = 0 AND max(b.n_stored) = 1 AND bool_and(b.stored_in = b.exam_session_id)
        AND count(*) = (SELECT s.n_elements FROM load_stored AS s WHERE s.exam_session_id = b.exam_session_id)
),
forgotten AS (
    DELETE FROM load_stored AS s USING untouched AS u WHERE s.exam_session_id = u.exam_session_id
)
DELETE FROM load_bucket AS b USING untouched AS u WHERE b.exam_session_id = u.exam_session_id;

-- name: count_bucket
-- What became of the log's rows: n_new rows of an attempt, of which n_distinct differ, of which n_answers differ beyond the topic.
SELECT
    count(*) FILTER (WHERE is_new) AS attempts,
    count(*) FILTER (WHERE n_new = 0) AS kept,
    COALESCE(sum(n_new - n_distinct), 0) AS duplicates,
    COALESCE(sum(n_distinct - n_answers), 0) AS further_topics,
    COALESCE(sum(n_answers - CASE WHEN is_new THEN 1 ELSE 0 END) FILTER (WHERE rescored_at IS NOT NULL), 0) AS superseded,
    COALESCE(sum(n_answers - CASE WHEN is_new THEN 1 ELSE 0 END) FILTER (WHERE rescored_at IS NULL), 0) AS contradictory,
    count(*) FILTER (WHERE n_new > 0 AND cardinality(topics) > 1) AS several_topics
FROM load_bucket;

-- name: remove_emptied
-- Stored exams all of whose attempts are now in other exams.
DELETE FROM exam_results AS e
USING load_stored AS s
WHERE
    e.session_id = s.exam_session_id
    AND NOT EXISTS (SELECT FROM load_bucket AS b WHERE b.exam_session_id = s.exam_session_id);

-- name: upsert_exams
-- An exam with the same content is not updated, so a second load of a log changes no row. An attempt with several topics
-- counts in each of them, and once in the score. A new exam's id follows from its session, so the same log gives the same
-- ids everywhere, unless an exam of another session has that id.
WITH topic AS (
    SELECT
        b.exam_session_id,
        t.topic,
        count(*) FILTER (WHERE b.is_correct) AS correct,
        count(b.is_correct) AS answered,
        round(count(*) FILTER (WHERE b.is_correct)::numeric / NULLIF(count(b.is_correct), 0), 3) AS accuracy
    FROM load_bucket AS b
    CROSS JOIN LATERAL unnest(b.topics) AS t (topic)
    GROUP BY b.exam_session_id, t.topic
),
score AS (
    SELECT
        exam_session_id,
        jsonb_agg(
            jsonb_build_object('topic', topic, 'correct', correct, 'total', answered, 'accuracy', accuracy)
            ORDER BY topic
        ) AS topics,
        COALESCE(jsonb_agg(topic ORDER BY topic) FILTER (WHERE answered >= 3 AND accuracy >= 0.8), '[]') AS strengths,
        COALESCE(jsonb_agg(topic ORDER BY topic) FILTER (WHERE answered >= 3 AND accuracy < 0.5), '[]') AS weaknesses
    FROM topic
    GROUP BY exam_session_id
),
exam AS (
    SELECT
        exam_session_id,
        md5('attempt_log ' || exam_session_id)::uuid AS new_id,
        min(user_id) AS user_id,
        count(*) FILTER (WHERE is_correct)::integer AS raw,
        round(100 * count(*) FILTER (WHERE is_correct)::numeric / NULLIF(count(is_correct), 0))::integer AS scaled,
        max(answered_at) AS last_answer_at,
        max(rescored_at) AS last_rescored_at,
        jsonb_agg(
            jsonb_strip_nulls(jsonb_build_object(
                'question_id', item_id,
                'is_correct', is_correct,
                'topic', topics[1],
                'topics', CASE WHEN cardinality(topics) > 1 THEN topics END,
                'time_spent_sec', time_spent_sec,
                'used_hints', used_hints,
                'answered_at', answered_at,
                'rescored_at', rescored_at
            ))
            ORDER BY answered_at, item_id
        ) AS questions
    FROM load_bucket
    GROUP BY exam_session_id
),
written AS (
    INSERT INTO exam_results AS t (
        id, session_id, user_id, status, result_json, score_raw, score_scaled, created_at, updated_at
    )
    SELECT
        CASE WHEN taken.id IS NULL THEN x.new_id ELSE gen_random_uuid() END,
        x.exam_session_id,
        x.user_id,
        'ready',
        jsonb_build_object(
            'score', jsonb_build_object('raw', x.raw, 'scaled', x.scaled),
            'topics', s.topics,
            'summary', jsonb_build_object('strengths', s.strengths, 'weaknesses', s.weaknesses),
            'recommendations', '[]'::jsonb,
            'questions', x.questions,
            'metadata', jsonb_build_object('version', 'v1', 'source', 'attempt_log')
                || CASE WHEN :shift_days = 0 THEN '{}' ELSE jsonb_build_object('shifted_days', :shift_days) END,
            'ability_estimate', 0.0,
            'standard_error', NULL,
            'percentile', NULL
        ),
        x.raw,
        x.scaled,
        x.last_answer_at,
        GREATEST(x.last_answer_at, x.last_rescored_at)
    FROM exam AS x
    INNER JOIN score AS s ON s.exam_session_id = x.exam_session_id
    LEFT JOIN exam_results AS taken ON taken.id = x.new_id AND taken.session_id <> x.exam_session_id
    ON CONFLICT (session_id) DO UPDATE SET
        status = excluded.status,
        result_json = excluded.result_json,
        score_raw = excluded.score_raw,
        score_scaled = excluded.score_scaled,
        created_at = excluded.created_at,
        updated_at = CASE WHEN excluded.updated_at > t.updated_at THEN excluded.updated_at ELSE now() END
    WHERE
        (t.status, t.result_json, t.score_raw, t.score_scaled, t.created_at)
        IS DISTINCT FROM
        (excluded.status, excluded.result_json, excluded.score_raw, excluded.score_scaled, excluded.created_at)
    RETURNING (t.xmax = 0) AS is_new
)
SELECT
    (SELECT count(DISTINCT exam_session_id) FROM load_bucket) AS exams,
    count(*) FILTER (WHERE is_new) AS inserted,
    count(*) FILTER (WHERE NOT is_new) AS updated
FROM written;
