-- Recovery at as_of: of the items answered wrong in the previous 28 days and met again in the last 28 days, the share
-- answered right at the first new answer. Items count, not attempts.
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
        'R_t_n_wrong', COALESCE(r.n_wrong, 0),
        'R_t_n_met_again', COALESCE(r.n_met_again, 0)
    )) AS kpis
FROM population AS p
LEFT JOIN recovery AS r ON r.user_id = p.user_id;
