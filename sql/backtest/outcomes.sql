-- Predictions made at the end of a week, and what happened afterwards.
-- Grain:  student for silence and goal, answer for next_answers and next_in_topic; see each of the other statements.
-- Inputs: weekly_kpi, attempt, ability_window, ability_topic_state, mirt_ability, mirt_fit_meta, mirt_item_bank,
--         prophet_fit_meta, prediction_backtest.
-- Params: see each statement.
-- Scale:  abilities and item parameters are on the platform's linked scale (psychometrics/scale.sql).

-- name: silence_horizon
-- The horizon of the risk in days. Params: week_start.
SELECT max((kpis ->> 'S_horizon_days')::integer) FROM weekly_kpi WHERE week_start = :week_start;

-- name: silence
-- S of weeks and whether the student was silent over its horizon. model is the number before any recalibration.
-- Params: first_week, last_week; known_by (the Monday at which all outcomes must be known), timezone, method, horizon_days
--         (NULL: any), stride (one of this many students).
CREATE TEMP TABLE backtest_outcome ON COMMIT DROP AS
SELECT
    k.user_id,
    k.week_start,
    (k.kpis ->> 'S')::float8 AS predicted,
    COALESCE(k.kpis ->> 'S_model', k.kpis ->> 'S')::float8 AS model,
    k.kpis ->> 'S_method' AS method,
    NOT EXISTS (
        SELECT FROM attempt AS a
        WHERE a.user_id = k.user_id AND a.completed_at >= w.as_of AND a.completed_at < w.until
    ) AS happened,
    w.horizon AS horizon_days
FROM weekly_kpi AS k
CROSS JOIN LATERAL (SELECT (k.kpis ->> 'S_horizon_days')::integer AS horizon) AS h
CROSS JOIN LATERAL (
    SELECT
        h.horizon,
        (k.week_start + 7)::timestamp AT TIME ZONE :timezone AS as_of,
        (k.week_start + 7 + h.horizon)::timestamp AT TIME ZONE :timezone AS until
) AS w
WHERE
    k.week_start BETWEEN :first_week AND :last_week
    AND k.week_start + 7 + h.horizon <= CAST(:known_by AS date)
    AND COALESCE(k.kpis ->> 'S_model', k.kpis ->> 'S') IS NOT NULL
    AND (CAST(:method AS text) IS NULL OR k.kpis ->> 'S_method' = CAST(:method AS text))
    AND (CAST(:horizon_days AS integer) IS NULL OR h.horizon = CAST(:horizon_days AS integer))
    AND (CAST(:stride AS integer) = 1 OR hashtext(k.user_id) % CAST(:stride AS integer) = 0);

-- name: silence_baseline
-- The share of students who fell silent after the last week whose outcome was known by then.
-- Params: week_start, as_of, until (all of that earlier week).
SELECT avg(CASE WHEN EXISTS (
    SELECT FROM attempt AS a WHERE a.user_id = k.user_id AND a.completed_at >= :as_of AND a.completed_at < :until
) THEN 0 ELSE 1 END)::float8
FROM weekly_kpi AS k
WHERE k.week_start = :week_start;

-- name: silence_of_students
-- Which students were silent after a week. Grain: student. Params: week_start, as_of, until (as silence_baseline).
SELECT
    k.user_id,
    (NOT EXISTS (
        SELECT FROM attempt AS a WHERE a.user_id = k.user_id AND a.completed_at >= :as_of AND a.completed_at < :until
    ))::integer AS silent
FROM weekly_kpi AS k
WHERE k.week_start = :week_start;

-- name: goal
-- P against the ability in the closed week of P's horizon date. The ability is measured by the answers of that week's last
-- 14 days, all of which come after the prediction. Dividing by the reliability removes the prior, which pulls an estimate
-- towards the mean; windows with a reliability below 0.2 are left out. sigma and the measurement's standard error (its
-- variance is se^2 / reliability) turn P into the probability of the measured ability. Both must be in logits: a P about a
-- share right (P_score_unit) has no sigma here, because the curve from ability to share of its fit is not stored. The
-- baseline is the share of students who were at their target when P was given. model and model_sigma are P and sigma before
-- any recalibration.
-- Params: first_week, last_week, default_days (from the end of the week to P's day, for a P without a date),
--         last_closed_week, timezone, method (NULL: any), stride (one of this many students).
CREATE TEMP TABLE backtest_outcome ON COMMIT DROP AS
WITH measured AS (
    SELECT
        w.user_id,
        w.week_start,
        w.window_start_at,
        w.theta,
        w.se,
        (f.metrics ->> 'group_mean')::float8 AS prior_mean,
        1 - w.se ^ 2 / (f.metrics ->> 'group_sd')::float8 ^ 2 AS reliability
    FROM ability_window AS w
    INNER JOIN mirt_fit_meta AS f ON f.run_id = w.run_id
    WHERE w.window_name = 'recent' AND w.week_start > :first_week AND w.week_start <= :last_closed_week
)
SELECT
    k.user_id,
    k.week_start,
    (k.kpis ->> 'P')::float8 AS predicted,
    COALESCE(k.kpis ->> 'P_model', k.kpis ->> 'P')::float8 AS model,
    k.kpis ->> 'P_method' AS method,
    CASE WHEN k.kpis ->> 'P_score_unit' = 'logit' THEN (k.kpis ->> 'sigma')::float8 END AS sigma,
    CASE WHEN k.kpis ->> 'P_score_unit' = 'logit' THEN COALESCE(k.kpis ->> 'sigma_model', k.kpis ->> 'sigma')::float8 END
        AS model_sigma,
    m.se / sqrt(m.reliability) AS error_sd,
    m.prior_mean + (m.theta - m.prior_mean) / m.reliability >= (k.kpis ->> 'P_target')::float8 AS happened,
    (avg(CASE WHEN o.theta >= (k.kpis ->> 'P_target')::float8 THEN 1.0 ELSE 0.0 END)
        OVER (PARTITION BY k.week_start))::float8 AS baseline,
    m.week_start + 7 - (k.week_start + 7) AS horizon_days
FROM weekly_kpi AS k
INNER JOIN measured AS m
    ON m.user_id = k.user_id
    AND m.window_start_at >= (k.week_start + 7)::timestamp AT TIME ZONE :timezone
    AND m.week_start = date_trunc(
        'week',
        (COALESCE((k.kpis ->> 'P_horizon_date')::date, k.week_start + 7 + CAST(:default_days AS integer)) - 1)::timestamp
    )::date
INNER JOIN mirt_ability AS o ON o.user_id = k.user_id AND o.week_start = k.week_start
WHERE
    k.week_start BETWEEN :first_week AND :last_week
    AND COALESCE(k.kpis ->> 'P_model', k.kpis ->> 'P') IS NOT NULL
    AND k.kpis ->> 'P_target' IS NOT NULL
    AND (CAST(:method AS text) IS NULL OR k.kpis ->> 'P_method' = CAST(:method AS text))
    AND (CAST(:stride AS integer) = 1 OR hashtext(k.user_id) % CAST(:stride AS integer) = 0)
    AND m.reliability >= 0.2;

-- name: next_answers
-- The probability of each first answer in the seven days after a week:
-- c + (1 - c) / (1 + exp(-a (θ - b) / sqrt(1 + π a² se² / 8))). θ, se, a and b come from the run that scored the week and
-- are on the linked scale. The root flattens the curve by the uncertainty of the ability (probit approximation of the
-- logistic-normal integral, MacKay 1992, Neural Computation 4:720). sensitivity is the derivative by θ.
-- Params: first_week, last_week, known_by (the Monday at which all answers must be known), timezone, method (of the
--         ability; NULL: any), stride (one of this many students).
CREATE TEMP TABLE backtest_outcome ON COMMIT DROP AS
WITH ability AS MATERIALIZED (
    SELECT
        user_id, week_start, run_id, theta, se,
        (week_start + 7)::timestamp AT TIME ZONE :timezone AS as_of,
        (week_start + 14)::timestamp AT TIME ZONE :timezone AS until
    FROM mirt_ability
    WHERE
        week_start BETWEEN :first_week AND :last_week
        AND week_start + 14 <= CAST(:known_by AS date)
        AND (CAST(:method AS text) IS NULL OR method = CAST(:method AS text))
        AND (CAST(:stride AS integer) = 1 OR hashtext(user_id) % CAST(:stride AS integer) = 0)
),
-- Before the items: joined to all items of their runs first, the abilities would look up each pair's answers.
answered AS MATERIALIZED (
    SELECT a.user_id, a.item_id::text AS item_id, a.topic_id, a.correct, m.week_start, m.run_id, m.theta, m.se
    FROM ability AS m
    INNER JOIN attempt AS a ON a.user_id = m.user_id AND a.completed_at >= m.as_of AND a.completed_at < m.until
    WHERE a.is_answered AND a.answer_no = 1
),
bank AS MATERIALIZED (
    SELECT run_id, item_id, model, a, b, COALESCE(c, 0) AS c0, p_correct
    FROM mirt_item_bank
    WHERE run_id IN (SELECT run_id FROM ability) AND p_correct IS NOT NULL
)

SELECT
    a.user_id,
    a.week_start,
    a.topic_id,
    a.se,
    linked.c0 + (1 - linked.c0) * logistic.p AS predicted,
    linked.c0 + (1 - linked.c0) * logistic.p AS model,
    (1 - linked.c0) * flat.a * logistic.p * (1 - logistic.p) AS sensitivity,
    linked.model AS method,
    a.correct AS happened,
    linked.p_correct AS baseline,
    7 AS horizon_days
FROM answered AS a
INNER JOIN bank AS linked ON linked.run_id = a.run_id AND linked.item_id = a.item_id
CROSS JOIN LATERAL (SELECT linked.a / sqrt(1 + pi() * linked.a * linked.a * a.se * a.se / 8) AS a) AS flat
CROSS JOIN LATERAL (SELECT 1 / (1 + exp(-flat.a * (a.theta - linked.b))) AS p) AS logistic;

-- name: next_in_topic
-- The probability of the next answer in a topic (ability_topic_state.next_right) against each answer in that topic in the
-- seven days after a week.
-- Params: first_week, last_week, known_by (the Monday at which all answers must be known), timezone, stride (one of this
--         many students).
CREATE TEMP TABLE backtest_outcome ON COMMIT DROP AS
SELECT
    s.user_id,
    s.week_start,
    s.next_right AS predicted,
    s.next_right AS model,
    'next_right' AS method,
    a.correct AS happened,
    NULL::float8 AS baseline,
    7 AS horizon_days
FROM (
    SELECT
        user_id, topic_id, week_start, next_right,
        (week_start + 7)::timestamp AT TIME ZONE :timezone AS as_of,
        (week_start + 14)::timestamp AT TIME ZONE :timezone AS until
    FROM ability_topic_state
    WHERE
        week_start BETWEEN :first_week AND :last_week
        AND week_start + 14 <= CAST(:known_by AS date)
        AND next_right IS NOT NULL
        AND (CAST(:stride AS integer) = 1 OR hashtext(user_id) % CAST(:stride AS integer) = 0)
    OFFSET 0
) AS s
INNER JOIN attempt AS a
    ON a.user_id = s.user_id AND a.topic_id = s.topic_id AND a.completed_at >= s.as_of AND a.completed_at < s.until
WHERE a.is_answered;

-- name: forecasts
-- The cohort's forecasts made in the week. Grain: metric. Params: week_start.
SELECT metric, fit_meta, forecast FROM prophet_fit_meta WHERE week_start = :week_start AND user_id IS NULL ORDER BY metric;

-- Sums of floats depend on the order of their terms, so the order of rows is total: equal rows may change places.
-- name: rows
SELECT user_id, predicted, model, happened::integer AS happened, baseline
FROM backtest_outcome
ORDER BY user_id, predicted, happened, baseline;

-- name: goal_rows
SELECT user_id, predicted, model, sigma, model_sigma, error_sd, happened::integer AS happened, baseline
FROM backtest_outcome
ORDER BY user_id, predicted, sigma, error_sd, happened, baseline;

-- name: silence_rows
SELECT user_id, predicted, model, happened::integer AS happened
FROM backtest_outcome
ORDER BY user_id, predicted, model, happened;

-- name: methods
SELECT string_agg(DISTINCT method, ', ' ORDER BY method) FROM backtest_outcome;

-- name: drop_outcome
DROP TABLE backtest_outcome;

-- name: history
-- Grain: prediction and week up to the given one. Params: week_start.
SELECT prediction, week_start, observed_share, predicted_share, n, brier_skill
FROM prediction_backtest
WHERE week_start <= :week_start AND observed_share IS NOT NULL
ORDER BY prediction, week_start;

-- name: newest_judged
-- The newest week before the given one that has been judged. Grain: prediction. Params: week_start.
SELECT week_start, prediction, is_credible, reasons, brier_skill, brier, brier_baseline, brier_gain, brier_gain_se, baseline
FROM prediction_backtest
WHERE week_start = (SELECT max(b.week_start) FROM prediction_backtest AS b WHERE b.week_start < :week_start)
ORDER BY prediction;

-- name: table
-- Grain: prediction and week. Params: first_week.
SELECT
    prediction, week_start, method, n, observed_share, predicted_share, brier, brier_baseline, brier_skill, log_skill,
    calibration_slope, calibration_slope_se, ici, auc, mae, mae_baseline, coverage, coverage_level, is_credible
FROM prediction_backtest
WHERE week_start >= :first_week
ORDER BY prediction, week_start;

-- name: by_size
-- Means weighted by the number of predictions; skills compare the weighted sums.
-- Grain: prediction and class of cohort size. Params: first_week.
SELECT
    prediction,
    CASE WHEN cohort_size < 100 THEN 'below 100' WHEN cohort_size < 1000 THEN '100 to 999' ELSE '1,000 and more' END AS cohort,
    count(*) AS weeks,
    sum(n) AS predictions,
    (sum(n * brier) / NULLIF(sum(n) FILTER (WHERE brier IS NOT NULL), 0))::float8 AS brier,
    (1 - sum(n * brier) / NULLIF(sum(n * brier_baseline), 0))::float8 AS brier_skill,
    (1 - sum(n * log_score) / NULLIF(sum(n * log_score_baseline), 0))::float8 AS log_skill,
    (sum(n * auc) / NULLIF(sum(n) FILTER (WHERE auc IS NOT NULL), 0))::float8 AS auc,
    (1 - sum(n * mae) / NULLIF(sum(n * mae_baseline), 0))::float8 AS mae_skill,
    (sum(n * coverage) / NULLIF(sum(n) FILTER (WHERE coverage IS NOT NULL), 0))::float8 AS coverage,
    count(*) FILTER (WHERE NOT is_credible) AS weeks_not_credible
FROM prediction_backtest
WHERE week_start >= :first_week
GROUP BY 1, 2
ORDER BY 1, 2;
