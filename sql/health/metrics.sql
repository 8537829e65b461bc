-- The health of the platform's assets as numbers for Prometheus.
-- Grain:  asset. Inputs: platform_health.
-- Params: none.

-- name: health
SELECT
    asset,
    domain,
    state,
    extract(EPOCH FROM last_success_at)::float AS last_success,
    row_count,
    jsonb_array_length(failed_partitions) AS failed_partitions,
    (SELECT count(*) FROM jsonb_object_keys(failed_checks)) AS failed_checks,
    extract(EPOCH FROM computed_at)::float AS computed
FROM platform_health
ORDER BY asset
