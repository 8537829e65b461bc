-- Adds the questions of the staged attempts: content is a placeholder, the topic is the most frequent one in the log.
-- Grain:   item, one row of question.
-- Inputs:  load_attempt, item_number.
-- Params:  timezone, shift_days.
-- Existing questions stay unchanged, except that a missing topic is filled in, and that a placeholder of an earlier load is
-- dated by its first answer in any order of the logs.
WITH topic AS (
    SELECT
        item_id,
        topic,
        count(*) AS attempts,
        min(answered_at) AS first_at
    FROM load_attempt
    GROUP BY item_id, topic
),
item AS (
    SELECT
        item_id,
        (array_agg(topic ORDER BY attempts DESC, topic) FILTER (WHERE topic IS NOT NULL))[1] AS topic_id,
        min(first_at) AS first_at
    FROM topic
    GROUP BY item_id
),
placed AS (
    SELECT
        item_id,
        topic_id,
        CASE
            WHEN :shift_days = 0 THEN first_at
            ELSE (first_at AT TIME ZONE :timezone + make_interval(days => :shift_days)) AT TIME ZONE :timezone
        END AS first_at
    FROM item
),
written AS (
    INSERT INTO question AS t (id, content, topic_id, meta, created_at, updated_at)
    SELECT
        p.item_id,
        'Question ' || COALESCE(n.source_id, p.item_id::text) || ' (its text was not in the attempt log)',
        p.topic_id,
        '{}',
        p.first_at,
        p.first_at
    FROM placed AS p
    LEFT JOIN item_number AS n ON n.item_id = p.item_id
    ORDER BY p.item_id
    ON CONFLICT (id) DO UPDATE SET
        topic_id = COALESCE(NULLIF(t.topic_id, ''), excluded.topic_id),
        created_at = CASE WHEN t.content = excluded.content THEN LEAST(t.created_at, excluded.created_at) ELSE t.created_at END,
        updated_at = now()
    WHERE
        NULLIF(t.topic_id, '') IS NULL AND excluded.topic_id IS NOT NULL
        OR t.content = excluded.content AND excluded.created_at < t.created_at
    RETURNING (t.xmax = 0) AS is_new
)
SELECT
    (SELECT count(*) FROM placed) AS items,
    count(*) FILTER (WHERE is_new) AS inserted,
    count(*) FILTER (WHERE NOT is_new) AS updated
FROM written;
