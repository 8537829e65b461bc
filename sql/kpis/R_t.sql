-- Recovery at as_of: of the items answered wrong in the previous 28 days and met again in the last 28 days, the share
-- answered right at the first new answer. Items count, not attempts. Where items never return, such as generated exercises,
-- R_t_topic stands beside it: the share right of the recent answers in the topics of those items, each topic weighted by its
-- items that were answered wrong.
-- Grain:  student of the population. Inputs: population, attempt.
-- Params: as_of, days_28, days_56 (instants that many local days before as_of).
CREATE TEMP TABLE staged_kpi ON COMMIT DROP AS
WITH wrong_before AS (
    SELECT DISTINCT user_id, item_id
    FROM attempt
    WHERE completed_at >= :days_56 AND completed_at < :days_28 AND is_answered AND NOT correct
),
met_again AS (
    SELECT DISTINCT ON (a.user_id, a.item_id) a.user_id, a.item_id, a.correct
    FROM attempt AS a
    WHERE a.completed_at >= :days_28 AND a.completed_at < :as_of AND a.is_answered
    ORDER BY a.user_id, a.item_id, a.completed_at, a.attempt_no
),
topic_wrong AS (
    SELECT a.user_id, t.topic_id, count(DISTINCT a.item_id) AS n_wrong
    FROM attempt AS a
    CROSS JOIN LATERAL unnest(a.topic_ids) AS t (topic_id)
    WHERE a.completed_at >= :days_56 AND a.completed_at < :days_28 AND a.is_answered AND NOT a.correct
    GROUP BY a.user_id, t.topic_id
),
topic_recent AS (
    SELECT a.user_id, t.topic_id, count(*) AS n, count(*) FILTER (WHERE a.correct) AS n_right
    FROM attempt AS a
    CROSS JOIN LATERAL unnest(a.topic_ids) AS t (topic_id)
    WHERE a.completed_at >= :days_28 AND a.completed_at < :as_of AND a.is_answered
    GROUP BY a.user_id, t.topic_id
),
topic_recovery AS (
    -- Numerics: the last bit of a sum of floats depends on the order of rows.
    SELECT
        w.user_id,
        (sum(w.n_wrong * r.n_right::numeric / r.n) / sum(w.n_wrong))::float8 AS share,
        sum(r.n)::integer AS n
    FROM topic_wrong AS w
    INNER JOIN topic_recent AS r ON r.user_id = w.user_id AND r.topic_id = w.topic_id
    GROUP BY w.user_id
),
recovery AS (
    SELECT
        w.user_id,
        count(*)::integer AS n_wrong,
        count(m.item_id)::integer AS n_met_again,
        count(*) FILTER (WHERE m.correct) AS n_right
    FROM wrong_before AS w
    LEFT JOIN met_again AS m ON m.user_id = w.user_id AND m.item_id = w.item_id
    GROUP BY w.user_id
)
SELECT
    p.user_id,
    jsonb_build_object('R_t', r.n_right::float8 / NULLIF(r.n_met_again, 0)) || jsonb_strip_nulls(jsonb_build_object(
        'R_t_reason', CASE
            WHEN r.n_wrong IS NULL THEN 'no question answered wrong in the 28 days before the last 28'
            WHEN r.n_met_again = 0 THEN 'no question that went wrong came up again in the last 28 days'
        END,
        'R_t_reason_code', CASE WHEN r.n_wrong IS NULL THEN 'no_mistakes' WHEN r.n_met_again = 0 THEN 'not_met_again' END,
        'R_t_n_wrong', COALESCE(r.n_wrong, 0),
        'R_t_n_met_again', COALESCE(r.n_met_again, 0),
        'R_t_topic', t.share,
        'R_t_topic_n', t.n
    )) AS kpis
FROM population AS p
LEFT JOIN recovery AS r ON r.user_id = p.user_id
LEFT JOIN topic_recovery AS t ON t.user_id = p.user_id;
