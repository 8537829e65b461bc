-- The item bank as of each usable calibration: its own parameters, and the last usable ones of items that it did not estimate.
-- Grain:  calibration and item with parameters.
-- Inputs: mirt_fit_meta, mirt_item_params (every item that ever had parameters), mirt_item_params_history.
-- Params: none.
-- Kept:   parameters of the newest earlier calibration that is usable, has the same model and filter and is on the same
--         scale. Too few answers (few_responses) say nothing about an item, so they do not replace parameters. Any other
--         finding does: an item that all students now answer wrong has no parameters, and a wrong key keeps its flag.
--         A calibration of MIRT_KEEP_PARAMETERS=false, or from before this view, keeps none.
CREATE OR REPLACE VIEW mirt_item_bank AS
SELECT
    f.run_id,
    f.week_start,
    linked.item_id,
    linked.model,
    linked.a,
    linked.b,
    linked.c,
    linked.se_a,
    linked.se_b,
    linked.se_c,
    linked.n_responses,
    linked.p_correct,
    linked.flag,
    CASE WHEN linked.is_anchor THEN 'anchor' ELSE 'estimated' END AS method,
    linked.run_id AS source_run_id,
    linked.week_start AS source_week_start,
    f.fitted_at AS estimated_at,
    0 AS age_days
FROM mirt_fit_meta AS f
INNER JOIN mirt_item_params_history AS linked ON linked.run_id = f.run_id
WHERE f.is_usable AND linked.a IS NOT NULL AND linked.b IS NOT NULL

UNION ALL

SELECT
    f.run_id,
    f.week_start,
    i.item_id,
    linked.model,
    linked.a,
    linked.b,
    linked.c,
    linked.se_a,
    linked.se_b,
    linked.se_c,
    linked.n_responses,
    linked.p_correct,
    linked.flag,
    'kept' AS method,
    linked.run_id AS source_run_id,
    linked.week_start AS source_week_start,
    linked.fitted_at AS estimated_at,
    (EXTRACT(EPOCH FROM f.fitted_at - linked.fitted_at) / 86400)::integer AS age_days
FROM mirt_fit_meta AS f
CROSS JOIN mirt_item_params AS i
CROSS JOIN LATERAL (
    SELECT
        h.run_id, h.week_start, h.model, h.a, h.b, h.c, h.se_a, h.se_b, h.se_c, h.n_responses, h.p_correct, h.flag, o.fitted_at
    FROM mirt_item_params_history AS h
    INNER JOIN mirt_fit_meta AS o ON o.run_id = h.run_id
    WHERE
        h.item_id = i.item_id
        AND h.week_start < f.week_start
        AND h.model = f.model_spec ->> 'model'
        AND h.flag IS DISTINCT FROM 'few_responses'
        AND o.is_usable
        AND COALESCE(o.model_spec ->> 'scale', o.version) = f.model_spec ->> 'scale'
        AND (o.model_spec ->> 'filter') IS NOT DISTINCT FROM (f.model_spec ->> 'filter')
    ORDER BY h.week_start DESC
    LIMIT 1
) AS linked
WHERE
    f.is_usable
    AND f.model_spec -> 'keeps_parameters' = 'true'
    AND linked.a IS NOT NULL
    AND linked.b IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM mirt_item_params_history AS own
        WHERE own.run_id = f.run_id AND own.item_id = i.item_id AND own.flag IS DISTINCT FROM 'few_responses'
    );
