-- Drift: what people have said about a week's alerts outlives the comparison.
-- Inputs: drift_alerts.

-- name: keep_resolved
-- Grain: item and metric staged in staged_drift_alerts. A changed answer gives the comparison another run_id, and the
-- week's alerts are replaced by rows of another key; that somebody dealt with an alert holds for the item all the same.
-- Only alerts of the same week count: another week's is another finding. Rows stay locked up to the replacement, so that
-- nobody resolves an alert in between and is overwritten.
-- Params: week_start.
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
