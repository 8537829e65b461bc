-- Copies the rows of a legacy table whose shape could not be extended from the archive into the platform's table.
-- Grain:  as the target's; one statement for each table, named as the table.
-- Inputs: seedtest_legacy.<table>, as JSON rows, because the shapes differ in details.
-- Params: none.
-- Rows that the new shape cannot express (a text item id, a risk outside 0..1) stay in the archive alone.

-- name: survival_fit_meta
INSERT INTO survival_fit_meta (
    run_id, formula, family, event_threshold_days, coefficients, concordance, n, survival_curve, fitted_at, run_at
)
SELECT DISTINCT ON (1)
    COALESCE(l.run_id::text, 'legacy-' || l.id) AS run_id,
    'legacy: ' || l.family,
    l.family,
    l.event_threshold_days,
    COALESCE(l.coefficients, '{}'),
    l.concordance,
    l.n,
    COALESCE(l.survival_curve, '[]'),
    COALESCE(l.run_at, now()),
    COALESCE(l.run_at, now())
FROM seedtest_legacy.survival_fit_meta AS l
ORDER BY 1, l.id DESC;

-- name: survival_risk
-- Several rows of a student: the newest.
INSERT INTO survival_risk (user_id, risk_score, hazard_ratio, rank_percentile, method, run_id, updated_at)
SELECT DISTINCT ON (l.user_id)
    l.user_id,
    l.risk_score,
    l.hazard_ratio,
    CASE WHEN l.rank_percentile BETWEEN 0 AND 1 THEN l.rank_percentile END,
    'legacy',
    l.run_id::text,
    COALESCE(l.updated_at, now())
FROM seedtest_legacy.survival_risk AS l
WHERE l.risk_score BETWEEN 0 AND 1
ORDER BY l.user_id, l.updated_at DESC NULLS LAST, l.id DESC;

-- name: prophet_fit_meta
INSERT INTO prophet_fit_meta (run_id, metric, changepoints, forecast, fit_meta, fitted_at)
SELECT DISTINCT ON (1)
    COALESCE(l.row ->> 'run_id', 'legacy-' || (l.row ->> 'id')) AS run_id,
    l.row ->> 'metric',
    COALESCE(NULLIF(l.row -> 'changepoints', 'null'), '[]'),
    COALESCE(NULLIF(l.row -> 'forecast', 'null'), '[]'),
    COALESCE(NULLIF(l.row -> 'fit_meta', 'null'), '{}'),
    COALESCE((l.row ->> 'fitted_at')::timestamptz, (l.row ->> 'run_at')::timestamptz, now())
FROM (SELECT to_jsonb(t) AS row FROM seedtest_legacy.prophet_fit_meta AS t) AS l
ORDER BY 1, (l.row ->> 'id')::bigint DESC;

-- name: prophet_anomalies
INSERT INTO prophet_anomalies (run_id, week_start, metric, value, expected, anomaly_score, detected_at)
SELECT DISTINCT ON (1, 2, 3)
    COALESCE(l.row ->> 'run_id', 'legacy-' || (l.row ->> 'id')) AS run_id,
    (l.row ->> 'week_start')::date AS week_start,
    l.row ->> 'metric' AS metric,
    (l.row ->> 'value')::double precision,
    (l.row ->> 'expected')::double precision,
    (l.row ->> 'anomaly_score')::double precision,
    COALESCE((l.row ->> 'detected_at')::timestamptz, now())
FROM (SELECT to_jsonb(t) AS row FROM seedtest_legacy.prophet_anomalies AS t) AS l
ORDER BY 1, 2, 3, (l.row ->> 'id')::bigint DESC;

-- name: drift_windows
INSERT INTO drift_windows (id, start_at, end_at, population_tags, created_at)
SELECT
    (l.row ->> 'id')::bigint,
    (l.row ->> 'start_at')::timestamptz,
    (l.row ->> 'end_at')::timestamptz,
    l.row -> 'population_tags',
    COALESCE((l.row ->> 'created_at')::timestamptz, now())
FROM (SELECT to_jsonb(t) AS row FROM seedtest_legacy.drift_windows AS t) AS l;

-- name: item_calibration
INSERT INTO item_calibration (
    item_id, window_id, a_hat, b_hat, c_hat, a_l95, a_u95, b_l95, b_u95, c_l95, c_u95, n, dif, info, run_id, created_at
)
SELECT DISTINCT ON (15, 2, 1)
    (l.row ->> 'item_id')::bigint,
    (l.row ->> 'window_id')::bigint,
    (l.row ->> 'a_hat')::double precision,
    (l.row ->> 'b_hat')::double precision,
    (l.row ->> 'c_hat')::double precision,
    (l.row ->> 'a_l95')::double precision,
    (l.row ->> 'a_u95')::double precision,
    (l.row ->> 'b_l95')::double precision,
    (l.row ->> 'b_u95')::double precision,
    (l.row ->> 'c_l95')::double precision,
    (l.row ->> 'c_u95')::double precision,
    (l.row ->> 'n')::integer,
    l.row -> 'dif',
    l.row -> 'info',
    COALESCE(l.row ->> 'run_id', 'legacy'),
    COALESCE((l.row ->> 'created_at')::timestamptz, now())
FROM (SELECT to_jsonb(t) AS row FROM seedtest_legacy.item_calibration AS t) AS l
WHERE l.row ->> 'item_id' ~ '^(0|[1-9][0-9]{0,17})$'
ORDER BY 15, 2, 1, (l.row ->> 'id')::bigint DESC;

-- name: drift_alerts
INSERT INTO drift_alerts (item_id, window_id, metric, value, threshold, severity, run_id, resolved_at, created_at)
SELECT DISTINCT ON (7, 1, 3)
    (l.row ->> 'item_id')::bigint,
    (l.row ->> 'window_id')::bigint,
    l.row ->> 'metric',
    (l.row ->> 'value')::double precision,
    COALESCE((l.row ->> 'threshold')::double precision, 0),
    l.row ->> 'severity',
    COALESCE(l.row ->> 'run_id', 'legacy'),
    (l.row ->> 'resolved_at')::timestamptz,
    COALESCE((l.row ->> 'created_at')::timestamptz, now())
FROM (SELECT to_jsonb(t) AS row FROM seedtest_legacy.drift_alerts AS t) AS l
WHERE l.row ->> 'item_id' ~ '^(0|[1-9][0-9]{0,17})$'
ORDER BY 7, 1, 3, (l.row ->> 'id')::bigint DESC;
