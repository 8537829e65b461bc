-- Builds exams from the staged attempts.
-- Grain:   session, one row of exam_results; bucket by bucket.
-- Inputs:  load_attempt, load_bucket (see stage.sql), exam_results.
-- Params:  bucket, timezone, shift_days (whole weeks in days; the wall-clock time stays), gap_minutes (the pause that ends a
--          derived session), readable (a JSON path that matches readable attempts).

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
TRUNCATE load_bucket;

-- name: fill_bucket
-- Rows that are equal in every column are one attempt, exported twice.
INSERT INTO load_bucket
SELECT DISTINCT
    r.user_id,
    COALESCE(k.exam_session_id, r.session_id),
    r.item_id,
    COALESCE(r.topic, 'general'),
    r.is_correct,
    r.time_spent_sec,
    r.used_hints,
    CASE
        WHEN :shift_days = 0 THEN r.answered_at
        ELSE (r.answered_at AT TIME ZONE :timezone + make_interval(days => :shift_days)) AT TIME ZONE :timezone
    END,
    r.rescored_at
FROM load_attempt AS r
LEFT JOIN load_exam_key AS k ON k.user_id = r.user_id AND k.session_id = r.session_id
WHERE r.bucket = :bucket AND r.session_id IS NOT NULL;

-- name: fill_bucket_derived
-- Rows without a session: a pause of more than gap_minutes starts a new session. Its name is the unshifted time of its first
-- answer, so a log that is shifted further next week keeps its exams.
INSERT INTO load_bucket
SELECT DISTINCT
    d.user_id,
    to_char(
        min(d.answered_at) OVER (PARTITION BY d.user_id, d.session_no) AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"'
    ) || '@' || left(md5(d.user_id), 16),
    d.item_id,
    COALESCE(d.topic, 'general'),
    d.is_correct,
    d.time_spent_sec,
    d.used_hints,
    CASE
        WHEN :shift_days = 0 THEN d.answered_at
        ELSE (d.answered_at AT TIME ZONE :timezone + make_interval(days => :shift_days)) AT TIME ZONE :timezone
    END,
    d.rescored_at
FROM (
    SELECT g.*, count(*) FILTER (WHERE g.is_first) OVER (PARTITION BY g.user_id ORDER BY g.answered_at) AS session_no
    FROM (
        SELECT
            r.*,
            r.answered_at - lag(r.answered_at) OVER (PARTITION BY r.user_id ORDER BY r.answered_at)
                > make_interval(mins => :gap_minutes) AS is_first
        FROM load_attempt AS r
        WHERE r.bucket = :bucket AND r.session_id IS NULL
    ) AS g
) AS d;

-- name: analyze_bucket
ANALYZE load_bucket;

-- name: keep_existing
-- Attempts of the same exams that an earlier load stored and this log lacks (a session split over two files), and answers
-- that were rescored later than the log knows. Unreadable attempts are not kept: the log replaces them.
INSERT INTO load_bucket
SELECT
    e.user_id,
    e.session_id,
    q.question_id,
    COALESCE(q.topic, 'general'),
    q.is_correct,
    q.time_spent_sec,
    q.used_hints,
    q.answered_at,
    q.rescored_at
FROM (SELECT DISTINCT user_id, exam_session_id FROM load_bucket) AS s
INNER JOIN exam_results AS e ON e.session_id = s.exam_session_id AND e.user_id = s.user_id
CROSS JOIN LATERAL jsonb_array_elements(
    CASE WHEN jsonb_typeof(e.result_json -> 'questions') = 'array' THEN e.result_json -> 'questions' ELSE '[]' END
) AS element
CROSS JOIN LATERAL jsonb_to_record(CASE WHEN element @? :readable THEN element ELSE '{}' END) AS q (
    question_id bigint, is_correct boolean, topic text, time_spent_sec double precision, used_hints integer,
    answered_at timestamptz, rescored_at timestamptz
)
WHERE
    e.result_json #>> '{metadata,source}' = 'attempt_log'
    AND q.question_id IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM load_bucket AS b
        WHERE
            b.exam_session_id = e.session_id
            AND b.item_id = q.question_id
            AND b.answered_at = q.answered_at
            AND (q.rescored_at IS NULL OR b.rescored_at >= q.rescored_at)
    );

-- name: prefer_rescored
-- Of several answers to one item at one instant, the one that was scored last stays.
DELETE FROM load_bucket AS b
USING load_bucket AS r
WHERE
    r.rescored_at IS NOT NULL
    AND r.exam_session_id = b.exam_session_id
    AND r.item_id = b.item_id
    AND r.answered_at = b.answered_at
    AND (b.rescored_at IS NULL OR b.rescored_at < r.rescored_at);

-- name: count_bucket
SELECT count(*) FROM load_bucket;

-- name: upsert_exams
-- An exam with the same content is not updated, so a second load of a log changes no row.
WITH topic AS (
    SELECT
        exam_session_id,
        topic,
        count(*) FILTER (WHERE is_correct) AS correct,
        count(is_correct) AS answered,
        round(count(*) FILTER (WHERE is_correct)::numeric / NULLIF(count(is_correct), 0), 3) AS accuracy
    FROM load_bucket
    GROUP BY exam_session_id, topic
),
score AS (
    SELECT
        exam_session_id,
        sum(correct)::integer AS raw,
        round(100 * sum(correct) / NULLIF(sum(answered), 0))::integer AS scaled,
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
        min(user_id) AS user_id,
        max(answered_at) AS last_answer_at,
        max(rescored_at) AS last_rescored_at,
        jsonb_agg(
            jsonb_strip_nulls(jsonb_build_object(
                'question_id', item_id,
                'is_correct', is_correct,
                'topic', topic,
                'time_spent_sec', time_spent_sec,
                'used_hints', used_hints,
                'answered_at', answered_at,
                'rescored_at', rescored_at
            ))
            ORDER BY answered_at, item_id, topic, is_correct, time_spent_sec, used_hints
        ) AS questions
    FROM load_bucket
    GROUP BY exam_session_id
),
written AS (
    INSERT INTO exam_results AS t (
        session_id, user_id, status, result_json, score_raw, score_scaled, created_at, updated_at
    )
    SELECT
        x.exam_session_id,
        x.user_id,
        'ready',
        jsonb_build_object(
            'score', jsonb_build_object('raw', s.raw, 'scaled', s.scaled),
            'topics', s.topics,
            'summary', jsonb_build_object('strengths', s.strengths, 'weaknesses', s.weaknesses),
            'recommendations', '[]'::jsonb,
            'questions', x.questions,
            'metadata', jsonb_build_object('version', 'v1', 'source', 'attempt_log'),
            'ability_estimate', 0.0,
            'standard_error', NULL,
            'percentile', NULL
        ),
        s.raw,
        s.scaled,
        x.last_answer_at,
        GREATEST(x.last_answer_at, x.last_rescored_at)
    FROM exam AS x
    INNER JOIN score AS s ON s.exam_session_id = x.exam_session_id
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
