-- Which calibration gives the scale and which the parameters.
-- Inputs: mirt_fit_meta, mirt_item_params_history.

-- name: reference
-- The calibration that the scale comes from: the first usable one that was made. Later ones are put on its scale, never
-- on the scale of the one before them, so that errors of linking do not add up.
SELECT run_id, week_start, version
FROM mirt_fit_meta
WHERE is_usable AND model_spec ->> 'scale_origin' = 'own' AND week_start <> :week_start
ORDER BY week_start
LIMIT 1;

-- name: parameters_of
SELECT item_id, model, a, b, c, se_a, se_b, se_c, n_responses
FROM mirt_item_params_history
WHERE run_id = :run_id AND a IS NOT NULL AND b IS NOT NULL
ORDER BY item_id;

-- name: usable_for
-- The calibration to score a week with: the week's own, else the newest usable one before it.
SELECT run_id, week_start, version, model_spec, metrics
FROM mirt_fit_meta
WHERE is_usable AND week_start <= :week_start
ORDER BY week_start DESC
LIMIT 1;
