-- Goal probabilities beside the truth of simulated cohorts. For studies only: assets do not read the schema simulation.
-- Grain:  see each statement.
-- Inputs: growth_prediction, growth_brms_meta, simulation.student, simulation.student_week, simulation.student_topic.
-- Params: none.
-- Scales: true_level is in logits on the simulation's scale; target and projected_* are in logits on the platform's linked
--         scale. The two agree where calibrations are linked to the simulated anchors, whose parameters in question.meta.irt
--         are the true ones (load/cohort.sql). They differ where a calibration on its own scale is the reference.

-- name: has_truth
SELECT to_regclass('simulation.student') IS NOT NULL AND to_regclass('simulation.cohort') IS NOT NULL;

-- name: pairs
-- The true level on horizon_date is the student's line over all topics without weekly noise. Each topic counts equally: all
-- are asked equally often, and a student's deviation in a topic never changes. A line has its week's value in mid-week.
-- Grain: student and fit.
SELECT
    g.week_start,
    g.run_id,
    g.p,
    g.projected_lower,
    g.projected_upper,
    l.true_level,
    (l.true_level >= g.target)::integer AS is_reached
FROM growth_prediction AS g
INNER JOIN growth_brms_meta AS f ON f.run_id = g.run_id AND f.model_spec ->> 'score_unit' = 'logit'
INNER JOIN simulation.student AS s ON s.user_id = g.user_id
INNER JOIN (
    SELECT user_id, min(week_start) AS first_week FROM simulation.student_week GROUP BY user_id
) AS w ON w.user_id = g.user_id
LEFT JOIN (
    SELECT user_id, avg(deviation_logit) AS deviation FROM simulation.student_topic GROUP BY user_id
) AS t ON t.user_id = g.user_id
CROSS JOIN LATERAL (
    SELECT
        s.intercept_logit + COALESCE(t.deviation, 0) + s.slope_logit * ((g.horizon_date - w.first_week) / 7.0 - 0.5)
            AS true_level
) AS l
ORDER BY g.week_start, g.run_id, g.user_id;
