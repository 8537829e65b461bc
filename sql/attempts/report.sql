-- A summary of the attempt log and the quarantine for the asset's metadata and checks.
-- Grain:  one row (reconcile), reason, month. Inputs: attempt_log, attempt_quarantine, attempt_sync. Params: none.

-- name: reconcile
SELECT
    l.attempts,
    l.attempt_elements,
    l.unanswered,
    l.repeated,
    l.newest_at,
    q.quarantined,
    q.excluded,
    s.elements
FROM
    (
        SELECT
            count(*) AS attempts,
            COALESCE(sum(n_elements), 0) AS attempt_elements,
            count(*) FILTER (WHERE NOT is_answered) AS unanswered,
            count(*) FILTER (WHERE occurrence_no > 1) AS repeated,
            max(completed_at) AS newest_at
        FROM attempt_log
    ) AS l,
    (SELECT count(*) AS quarantined, count(*) FILTER (WHERE is_excluded) AS excluded FROM attempt_quarantine) AS q,
    (SELECT COALESCE(sum(n_elements), 0) AS elements FROM attempt_sync) AS s;

-- name: reasons
SELECT reason, is_excluded AS excluded, count(*) AS elements, max(detail) AS meaning_and_remedy
FROM attempt_quarantine
GROUP BY reason, is_excluded
ORDER BY count(*) DESC, reason;

-- name: by_month
SELECT
    to_char(date_trunc('month', completed_at), 'YYYY-MM') AS month,
    count(*) AS attempts,
    count(DISTINCT user_id) AS students,
    round(avg(correct::integer) FILTER (WHERE is_answered), 4) AS share_right
FROM attempt_log
GROUP BY date_trunc('month', completed_at)
ORDER BY month DESC
LIMIT 12;

-- name: first_at
-- Params: as_of.
SELECT min(completed_at) FROM attempt_log WHERE completed_at < :as_of;
