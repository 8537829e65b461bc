-- The audit of predictions by groups of students.
-- Grain:  see each statement.
-- Inputs: fairness_audit, backtest_outcome (sql/backtest/outcomes.sql).
-- Params: see each statement.

-- name: line
-- What the newest audit up to a week found, for the operators: comparisons by verdict, and the groups with a gap.
-- Grain: one row, or none without an audit. Params: week_start.
SELECT
    week_start,
    covariate,
    reference,
    count(*) FILTER (WHERE ranking_verdict <> 'reference') AS comparisons,
    count(*) FILTER (WHERE 'gap' IN (ranking_verdict, calibration_verdict)) AS with_gap,
    count(*) FILTER (
        WHERE 'cannot_be_judged' IN (ranking_verdict, calibration_verdict)
        AND 'gap' NOT IN (ranking_verdict, calibration_verdict)
    ) AS not_judged,
    string_agg(prediction || ' of ' || group_name, ', ' ORDER BY prediction, group_name)
        FILTER (WHERE 'gap' IN (ranking_verdict, calibration_verdict)) AS gaps
FROM fairness_audit
WHERE week_start = (SELECT max(week_start) FROM fairness_audit WHERE week_start <= :week_start)
GROUP BY week_start, covariate, reference;
