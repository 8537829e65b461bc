-- Keeps the decisions that people made about a week's drift alerts when the week is compared again.
-- Grain:  item and metric. Inputs: drift_alerts, staged_drift_alerts. Params: week_start.

-- name: keep_resolved
-- A changed answer gives the comparison a new run_id, so new rows with other keys replace the week's alerts. An alert that
-- somebody resolved stays resolved for its item and metric. Alerts of other weeks are separate findings and do not count.
-- The rows stay locked until they are replaced, so a resolution entered meanwhile is not overwritten.
WITH stored AS MATERIALIZED (
    SELECT item_id, metric, resolved_at
    FROM drift_alerts
    WHERE week_start = :week_start
    FOR UPDATE
)

UPDATE staged_drift_alerts AS s
SET resolved_at = r.resolved_at
FROM (SELECT item_id, metric, max(resolved_at) AS resolved_at FROM stored GROUP BY item_id, metric) AS r
WHERE r.item_id = s.item_id AND r.metric = s.metric;
