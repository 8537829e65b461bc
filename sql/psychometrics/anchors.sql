-- Anchors: who could be one, who is chosen, and parameters written back to the item bank.
-- Inputs: mirt_fit_meta, mirt_item_params_history, mirt_item_params, attempt, question, anchor_candidates, drift_alerts.

-- name: candidates
-- Grain: item with parameters in the calibration.
-- Params: run_id, as_of.
SELECT
    h.item_id::bigint AS item_id,
    q.topic_id,
    h.a,
    h.b,
    h.c,
    h.flag IS NOT NULL AS is_flagged,
    COALESCE(q.meta -> 'tags' @> '["anchor"]', false) AS is_tagged,
    COALESCE(n.n_responses, 0)::integer AS n_responses
FROM mirt_item_params_history AS h
INNER JOIN question AS q ON q.id = h.item_id::bigint
LEFT JOIN (
    SELECT item_id, count(*) AS n_responses FROM attempt WHERE is_answered AND completed_at < :as_of GROUP BY item_id
) AS n ON n.item_id = q.id
WHERE h.run_id = :run_id AND h.a IS NOT NULL AND h.b IS NOT NULL
ORDER BY 1;

-- name: history
-- The newest five calibrations of the last 90 days on the platform's scale in which the item was estimated.
-- Params: week_start.
SELECT item_id, b FROM (
    SELECT
        h.item_id::bigint AS item_id,
        h.b,
        row_number() OVER (PARTITION BY h.item_id ORDER BY h.week_start DESC) AS nth
    FROM mirt_item_params_history AS h
    INNER JOIN mirt_fit_meta AS f ON f.run_id = h.run_id
    WHERE
        f.is_usable AND f.model_spec ->> 'scale_origin' <> 'unlinked' AND NOT h.is_anchor AND h.b IS NOT NULL
        AND h.week_start <= :week_start AND h.week_start > CAST(:week_start AS date) - 90
) AS ranked
WHERE nth <= 5
ORDER BY item_id, nth;

-- name: chosen
-- The choice of the newest week, without tagged items and without items that have an open alert of drift.
SELECT c.item_id, c.week_start, c.topic_id, c.a, c.b
FROM anchor_candidates AS c
WHERE
    c.week_start = (SELECT max(week_start) FROM anchor_candidates)
    AND c.rank IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM drift_alerts AS d WHERE d.item_id = c.item_id::bigint AND d.resolved_at IS NULL
    )
    AND NOT EXISTS (
        SELECT FROM question AS q WHERE q.id = c.item_id::bigint AND q.meta -> 'tags' @> '["anchor"]'
    )
ORDER BY c.rank;

-- name: tag
-- Append the tag, and keep the parameters that the item was chosen with: an anchor is held at them from now on.
-- Params: item_ids, week_start. A tags value that is no array is replaced.
UPDATE question AS q
SET
    meta = COALESCE(q.meta, '{}') || jsonb_build_object(
        'tags',
        CASE WHEN jsonb_typeof(q.meta -> 'tags') = 'array' THEN q.meta -> 'tags' ELSE '[]' END || '["anchor"]',
        'irt',
        jsonb_strip_nulls(
            jsonb_build_object('a', c.a, 'b', c.b, 'c', c.c, 'model', f.model_spec ->> 'model', 'version', c.run_id)
        )
    ),
    updated_at = now()
FROM anchor_candidates AS c
INNER JOIN mirt_fit_meta AS f ON f.run_id = c.run_id
WHERE
    c.week_start = :week_start AND c.item_id = ANY(:item_ids) AND q.id = c.item_id::bigint
    AND NOT COALESCE(q.meta -> 'tags' @> '["anchor"]', false);

-- name: write_back
-- The calibration's parameters into question.meta.irt. Anchors keep their own values: a scale is never tied to its own
-- last estimate, and what is written here is an anchor only where somebody tags it. `version` is the calibration.
-- Params: run_id.
UPDATE question AS q
SET meta = COALESCE(q.meta, '{}') || jsonb_build_object('irt', w.irt), updated_at = now()
FROM (
    SELECT
        item_id::bigint AS item_id,
        jsonb_strip_nulls(jsonb_build_object(
            'a', params -> 'a', 'b', params -> 'b', 'c', params -> 'c', 'model', model, 'version', run_id
        )) AS irt
    FROM mirt_item_params
    WHERE run_id = :run_id AND (params ->> 'a')::float8 > 0
) AS w
WHERE
    q.id = w.item_id
    AND NOT COALESCE(q.meta -> 'tags' @> '["anchor"]', false)
    AND q.meta -> 'irt' IS DISTINCT FROM w.irt;
