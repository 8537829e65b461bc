-- Reads churn fits, and publishes risks.
-- Grain:  fit (usable_for, newest), otherwise student.
-- Inputs: survival_fit_meta, survival_risk_history, session, interest_goal, attempt, staged_risk, staged_kpi, staged_model.
-- Params: see each statement.

-- name: usable_for
-- The newest usable fit made from data before as_of. Params: oldest (first week that is accepted), week_start, as_of.
SELECT run_id, week_start, model
FROM survival_fit_meta
WHERE week_start BETWEEN :oldest AND :week_start AND fitted_at <= :as_of AND is_usable AND model IS NOT NULL
ORDER BY week_start DESC
LIMIT 1;

-- name: newest
-- The newest fit made from data before as_of, usable or not, with its reasons. Params: week_start, as_of.
SELECT run_id, week_start, is_usable, reasons
FROM survival_fit_meta
WHERE week_start <= :week_start AND fitted_at <= :as_of AND is_usable IS NOT NULL
ORDER BY week_start DESC
LIMIT 1;

-- name: stage_never_started
-- Adds the students to staged_risk that the platform knows at as_of but who have no attempt before it. An id
-- that breaks the rule for texts is left out. Params: as_of, week_start.
INSERT INTO staged_risk (user_id, week_start, state, reasons)
SELECT k.user_id, :week_start, 'never_started', '[]'::jsonb
FROM (
    SELECT user_id FROM session WHERE created_at < :as_of AND user_id IS NOT NULL
    UNION
    SELECT user_id FROM interest_goal WHERE created_at < :as_of
) AS k
WHERE
    seedtest_is_plain_text(k.user_id)
    AND NOT EXISTS (SELECT FROM attempt AS a WHERE a.user_id = k.user_id AND a.completed_at < :as_of);

-- name: stage_current
-- The newest week of the history, which becomes the current table.
CREATE TEMP TABLE staged_current ON COMMIT DROP AS
SELECT
    user_id, risk_score, risk_lower, risk_upper, hazard_ratio, rank_percentile, state, days_silent, reasons, method, run_id,
    verdict, week_start
FROM survival_risk_history
WHERE week_start = (SELECT max(week_start) FROM survival_risk_history) AND risk_score IS NOT NULL;

-- name: states
SELECT state, count(*) AS students, avg(risk_score) AS mean_risk, min(risk_score) AS lowest, max(risk_score) AS highest
FROM survival_risk_history
WHERE week_start = :week_start
GROUP BY state
ORDER BY state;

-- name: merge_kpi
-- Replaces the heuristic's numbers by the model's. Inputs: staged_kpi, staged_model (user_id, kpis).
UPDATE staged_kpi AS s SET kpis = s.kpis || m.kpis FROM staged_model AS m WHERE m.user_id = s.user_id;

-- name: note_fallback
-- Stores with every student why the heuristic is used. Params: note.
UPDATE staged_kpi SET kpis = kpis || jsonb_build_object('S_method_reason', CAST(:note AS text));
