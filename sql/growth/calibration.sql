-- Predictions beside the truth of simulated cohorts; for studies only, no asset reads the schema simulation.

-- name: has_truth
SELECT to_regclass('simulation.student') IS NOT NULL AND to_regclass('simulation.cohort') IS NOT NULL;

-- name: pairs
-- Grain: student and fit. The true level on horizon_date is the student's own line, without a week's noise, over all
-- topics (each is asked as often, and a student is better or worse in each for good); a line is at its week's value on the
-- middle of the week.
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
