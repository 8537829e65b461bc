-- What the rules of the weekly message look at, and the languages of the recipients.
-- Grain:  student with a KPI row in the week (evidence); student (languages_of_users); student and recipient
--         (languages_of_recipients); one row (has_languages).
-- Inputs: weekly_kpi, attempt, mirt_ability, ability_state, ability_topic_state, mirt_item_bank, mirt_fit_meta, message_consent; users where the
--         web application has it.
-- Params: week_start, since (the local start of the third week before), week_at (of the week), as_of, timezone; shard and
--         shards (the part of the students by a keyed hash; of 1: all) of the evidence.
-- Scale:  abilities and difficulties are on the platform's linked scale; a logit is its unit.

-- name: evidence
WITH student AS (
    SELECT user_id, kpis
    FROM weekly_kpi
    WHERE
        week_start = :week_start
        AND (CAST(:shards AS bigint) = 1 OR mod(hashtextextended(user_id, 20251103) & 2147483647, :shards) = :shard)
),
answer AS MATERIALIZED (
    SELECT
        a.user_id,
        a.item_id,
        a.topic_id,
        a.correct,
        a.completed_at >= :week_at AS is_in_week,
        (a.completed_at AT TIME ZONE :timezone)::date AS day
    FROM attempt AS a
    WHERE
        a.completed_at >= :since AND a.completed_at < :as_of AND a.is_answered
        AND a.user_id IN (SELECT user_id FROM student)
),
total AS (
    SELECT
        user_id,
        count(*) FILTER (WHERE is_in_week) AS answers,
        count(*) FILTER (WHERE is_in_week AND correct) AS correct,
        count(DISTINCT day) FILTER (WHERE is_in_week) AS days,
        count(*) AS answers_4w,
        count(*) FILTER (WHERE correct) AS correct_4w,
        count(*) FILTER (WHERE NOT is_in_week) / 3.0 AS usual,
        max(day) AS last_day
    FROM answer
    GROUP BY user_id
),
topic AS (
    SELECT t.user_id, jsonb_agg(jsonb_build_array(t.topic_id, t.answers, t.correct, n.next_right) ORDER BY t.topic_id) AS topics
    FROM (
        SELECT user_id, topic_id, count(*) AS answers, count(*) FILTER (WHERE correct) AS correct
        FROM answer
        WHERE topic_id IS NOT NULL
        GROUP BY user_id, topic_id
    ) AS t
    -- The probability of the next answer counts where the week's abilities are dynamic.
    LEFT JOIN mirt_ability AS m ON m.user_id = t.user_id AND m.week_start = :week_start AND m.method = 'dynamic'
    LEFT JOIN ability_topic_state AS n
        ON n.user_id = m.user_id AND n.week_start = m.week_start AND n.topic_id = t.topic_id
    GROUP BY t.user_id
),
-- The calibration that the week was scored with; its parameters are on the linked scale.
scale AS (
    SELECT run_id
    FROM mirt_fit_meta
    WHERE
        is_usable AND model_spec ->> 'scale_origin' <> 'unlinked' AND week_start <= :week_start
        AND (
            model_spec ->> 'filter' IS NULL
            OR NOT EXISTS (SELECT FROM mirt_fit_meta AS o WHERE o.model_spec ->> 'filter' IS NULL)
        )
    ORDER BY week_start DESC
    LIMIT 1
),
difficulty AS (
    SELECT
        met.user_id,
        count(*) AS questions,
        count(*) FILTER (WHERE b.b - m.theta > 1.0) AS hard,
        count(*) FILTER (WHERE b.b - m.theta < -1.0) AS easy
    FROM (SELECT DISTINCT user_id, item_id FROM answer) AS met
    CROSS JOIN scale
    INNER JOIN mirt_item_bank AS b ON b.run_id = scale.run_id AND b.item_id = met.item_id::text
    INNER JOIN mirt_ability AS m
        ON m.user_id = met.user_id AND m.week_start = :week_start AND m.run_id IS NOT NULL
    GROUP BY met.user_id
),
repeated AS (
    SELECT avg(CASE WHEN answer_no > 1 THEN 1.0 ELSE 0.0 END)::float8 AS share
    FROM attempt
    WHERE completed_at >= CAST(:as_of AS timestamptz) - INTERVAL '56 days' AND completed_at < :as_of AND is_answered
)
SELECT
    s.user_id,
    COALESCE(t.answers, 0) AS answers,
    COALESCE(t.correct, 0) AS correct,
    COALESCE(t.days, 0) AS days,
    COALESCE(t.answers_4w, 0) AS answers_4w,
    COALESCE(t.correct_4w, 0) AS correct_4w,
    COALESCE(t.usual, 0)::float8 AS usual,
    t.last_day,
    COALESCE(d.questions, 0) AS questions,
    COALESCE(d.easy, 0) AS easy,
    COALESCE(d.hard, 0) AS hard,
    a.change,
    a.change_se,
    CASE WHEN jsonb_typeof(s.kpis -> 'R_t_n_wrong') = 'number' THEN (s.kpis -> 'R_t_n_wrong')::numeric::int ELSE 0 END
        AS wrong,
    CASE
        WHEN jsonb_typeof(s.kpis -> 'R_t_n_met_again') = 'number' THEN (s.kpis -> 'R_t_n_met_again')::numeric::int
        ELSE 0
    END AS met_again,
    (SELECT share FROM repeated) AS repeated_share,
    COALESCE(p.topics, '[]'::jsonb) AS topics
FROM student AS s
LEFT JOIN total AS t ON t.user_id = s.user_id
LEFT JOIN topic AS p ON p.user_id = s.user_id
LEFT JOIN difficulty AS d ON d.user_id = s.user_id
LEFT JOIN ability_state AS a ON a.user_id = s.user_id AND a.week_start = :week_start
ORDER BY s.user_id;

-- name: has_languages
SELECT count(*) = 2 AS has_languages
FROM information_schema.columns
WHERE
    table_schema = ANY(current_schemas(false)) AND table_name = 'users' AND column_name IN ('id', 'language');

-- name: languages_of_users
SELECT u.id::text AS user_id, u.language::text AS language
FROM users AS u
WHERE u.language IS NOT NULL AND u.id::text IN (SELECT user_id FROM weekly_kpi WHERE week_start = :week_start);

-- name: languages_of_recipients
SELECT user_id, recipient, max(language) AS language
FROM message_consent
WHERE language IS NOT NULL AND user_id IN (SELECT user_id FROM weekly_kpi WHERE week_start = :week_start)
GROUP BY user_id, recipient;
