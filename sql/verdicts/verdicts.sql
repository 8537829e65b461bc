-- What past outcomes say about the numbers of a week, and the numbers that are published for it.
-- Grain:  student of staged_kpi, unless the statement says another.
-- Inputs: weekly_kpi, mirt_ability, backtest_outcome (sql/backtest/outcomes.sql), staged_kpi, staged_verdict.
-- Params: see each statement.

-- name: students
-- The most students that a past week has. Grain: one row. Params: first_week, last_week.
SELECT COALESCE(max(w.n), 0) AS students
FROM (SELECT count(*) AS n FROM weekly_kpi WHERE week_start BETWEEN :first_week AND :last_week GROUP BY week_start) AS w;

-- name: evidence
-- Past numbers of the model and what happened, oldest first; week is a count of weeks. Grain: prediction.
SELECT
    (week_start - DATE '2000-01-03') / 7 AS week,
    model AS probability,
    happened::integer AS happened,
    horizon_days::float8 AS horizon_days
FROM backtest_outcome
ORDER BY week_start, user_id, model, happened;

-- name: evidence_of_goals
SELECT
    (week_start - DATE '2000-01-03') / 7 AS week,
    model AS probability,
    happened::integer AS happened,
    horizon_days::float8 AS horizon_days,
    COALESCE(error_sd / NULLIF(model_sigma, 0), 0)::float8 AS error_ratio
FROM backtest_outcome
ORDER BY week_start, user_id;

-- name: evidence_of_answers
SELECT
    (week_start - DATE '2000-01-03') / 7 AS week,
    model AS probability,
    happened::integer AS happened,
    horizon_days::float8 AS horizon_days,
    baseline AS reference,
    se,
    sensitivity,
    dense_rank() OVER (ORDER BY user_id) AS student,
    dense_rank() OVER (ORDER BY topic_id) AS topic
FROM backtest_outcome
ORDER BY week_start, user_id, model, happened, topic_id;

-- name: staged_s
SELECT
    user_id,
    kpis ->> 'S_method' AS method,
    (kpis ->> 'S')::float8 AS value,
    (kpis ->> 'S_lower')::float8 AS lower,
    (kpis ->> 'S_upper')::float8 AS upper
FROM staged_kpi
WHERE kpis ->> 'S' IS NOT NULL
ORDER BY user_id;

-- name: staged_p
SELECT
    user_id,
    kpis ->> 'P_method' AS method,
    (kpis ->> 'P')::float8 AS value,
    (kpis ->> 'P_lower')::float8 AS lower,
    (kpis ->> 'P_upper')::float8 AS upper,
    (kpis ->> 'sigma')::float8 AS sigma,
    CASE WHEN kpis ->> 'P_score_unit' = 'logit' THEN (kpis ->> 'P_target')::float8 END AS target,
    kpis ->> 'P_projected' IS NOT NULL AS has_projection
FROM staged_kpi
WHERE kpis ->> 'P' IS NOT NULL
ORDER BY user_id;

-- name: staged_theta
SELECT user_id, kpis ->> 'theta_method' AS method, (kpis ->> 'theta_se')::float8 AS value
FROM staged_kpi
WHERE kpis ->> 'theta_se' IS NOT NULL AND kpis ->> 'theta_method' IS NOT NULL
ORDER BY user_id;

-- name: merge
-- Keys of the verdict replace those of the model; gone are keys that it takes away. Inputs: staged_kpi, staged_verdict.
UPDATE staged_kpi AS s
SET kpis = (s.kpis - CAST(:gone AS text[])) || v.kpis
FROM staged_verdict AS v
WHERE v.user_id = s.user_id;

-- name: methods
-- Methods of the numbers of a week, before and after the verdict. Grain: prediction and method. Params: week_start.
SELECT 'P' AS prediction, kpis ->> 'P_method' AS method, NULL::integer AS horizon_days, count(*) AS students
FROM weekly_kpi
WHERE week_start = :week_start AND kpis ->> 'P_verdict' IS NOT NULL
GROUP BY 2
UNION ALL
SELECT 'S', kpis ->> 'S_method', (kpis ->> 'S_horizon_days')::integer, count(*)
FROM weekly_kpi
WHERE week_start = :week_start AND kpis ->> 'S_verdict' IS NOT NULL
GROUP BY 2, 3
UNION ALL
SELECT 'theta', kpis ->> 'theta_method', NULL, count(*)
FROM weekly_kpi
WHERE week_start = :week_start AND kpis ->> 'theta_verdict' IS NOT NULL
GROUP BY 2
ORDER BY 1, 2;
