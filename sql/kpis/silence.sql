-- P of the students without a new answer, now and in the week before.
-- Grain:  student. Inputs: weekly_kpi, ability_state, growth_prediction.
-- Params: week_start, week_before; as_of_date (the first day whose data the week does not use; for the week before that is
--         week_start).
-- Scale:  paces and standard deviations are in the score's unit.

-- name: stage
-- P and sigma are the model's: what past outcomes decide is another reason. ``weeks`` is by how much the goal's day has gone
-- away (negative: come nearer), and ``pace`` the score's gain a week. A P of the same fit as the week before is not projected
-- again, if the fit has no sums to move it by.
CREATE TEMP TABLE silent_p ON COMMIT DROP AS
WITH known AS (
    SELECT
        user_id,
        week_start,
        COALESCE(kpis ->> 'P_model', kpis ->> 'P')::float8 AS p,
        COALESCE(kpis ->> 'sigma_model', kpis ->> 'sigma')::float8 AS sd,
        kpis ->> 'P_method' AS method,
        kpis ->> 'P_fit_run_id' AS fit,
        (kpis ->> 'P_horizon_date')::date AS horizon,
        ARRAY[kpis ->> 'P_method', kpis ->> 'P_target', kpis ->> 'P_score_unit', kpis ->> 'P_horizon_source'] AS kind,
        kpis ->> 'theta_answered_at' AS answered_at
    FROM weekly_kpi
    WHERE week_start IN (:week_start, :week_before)
)
SELECT
    n.p,
    b.p AS p_before,
    n.sd,
    b.sd AS sd_before,
    COALESCE(CASE
        WHEN n.method = 'normal' THEN s.slope
        WHEN n.fit <> b.fit OR g.sum_weight IS NOT NULL THEN g.slope_mean
    END, 0) AS pace,
    COALESCE((n.horizon - CAST(:as_of_date AS date)) - (b.horizon - n.week_start), 0) / 7.0::float8 AS weeks
FROM known AS n
INNER JOIN known AS b ON b.user_id = n.user_id AND b.answered_at = n.answered_at AND b.kind = n.kind
LEFT JOIN growth_prediction AS g ON g.user_id = n.user_id AND g.run_id = n.fit
LEFT JOIN ability_state AS s ON s.user_id = n.user_id AND s.week_start = n.week_start
WHERE n.week_start = :week_start AND b.week_start = :week_before AND n.p IS NOT NULL AND b.p IS NOT NULL
    AND n.sd > 0 AND b.sd > 0;

-- name: rows
SELECT p, p_before, sd, sd_before, pace, weeks FROM silent_p;
