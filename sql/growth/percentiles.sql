-- Levels of students for growth percentiles.
-- Grain:  student. Inputs: ability_state. Params: week_start.
-- Scale:  levels are on the platform's linked scale, or, without a calibration, on the model's own.

-- name: stage
CREATE TEMP TABLE growth_level ON COMMIT DROP AS
SELECT
    user_id,
    level,
    se,
    earlier_level,
    earlier_se,
    gain_se,
    (extract(EPOCH FROM fitted_at - earlier_at) / 604800)::float8 AS weeks,
    (answered_at >= earlier_at)::integer AS has_answered,
    fitted_at,
    run_id
FROM ability_state
WHERE week_start = :week_start;

-- name: rows
SELECT * FROM growth_level ORDER BY user_id;

-- name: drop
DROP TABLE growth_level;
