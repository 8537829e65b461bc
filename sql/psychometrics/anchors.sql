-- Anchors: the candidates, the tag for the chosen, and the parameters that are written back to the item bank.
-- Grain:  see each statement.
-- Inputs: mirt_fit_meta, mirt_item_params_history, mirt_item_params, attempt, question, drift_alerts.
-- Params: see each statement.
-- Scale:  every a and b here, in the calibrations and in question.meta.irt, is on the platform's linked scale
--         (see scale.sql). A parameter on a calibration's own scale would move the scale of all later weeks.

-- name: candidates
-- `flag` lists what speaks against an item: the calibration's flag, a shift that excluded it from the link, an unresolved
-- drift alert, DIF of ETS class C, a question.meta that cannot take a tag.
-- Grain: item with parameters in the calibration. Params: run_id, as_of, week_start.
WITH fit AS MATERIALIZED (
    SELECT
        COALESCE(model_spec #> '{linking_constants,dropped}', '[]') AS dropped,
        COALESCE(metrics #> '{dif,items_c}', '[]') AS items_c
    FROM mirt_fit_meta
    WHERE run_id = :run_id
)

SELECT
    linked.item_id::bigint AS item_id,
    q.topic_id,
    linked.a,
    linked.b,
    linked.c,
    NULLIF(concat_ws(
        '; ', linked.flag, 'not on the scale: ' || m.reason, d.alert, g.dif,
        CASE WHEN q.tags IS NULL THEN 'question.meta is not an object with an array of tags' END
    ), '') AS flag,
    linked.is_anchor AS is_held,
    COALESCE(q.tags @> '["anchor"]', false) AS is_tagged,
    COALESCE(n.n_responses, 0)::integer AS n_responses
FROM mirt_item_params_history AS linked
INNER JOIN (
    SELECT id, topic_id, seedtest_question_tags(meta) AS tags FROM question
) AS q ON q.id = linked.item_id::bigint
LEFT JOIN (
    SELECT item_id, count(*) AS n_responses FROM attempt WHERE is_answered AND completed_at < :as_of GROUP BY item_id
) AS n ON n.item_id = q.id
LEFT JOIN (
    SELECT e.moved ->> 'item_id' AS item_id, min(e.moved ->> 'reason') AS reason
    FROM fit CROSS JOIN LATERAL jsonb_array_elements(fit.dropped) AS e (moved)
    GROUP BY 1
) AS m ON m.item_id = linked.item_id
LEFT JOIN (
    SELECT item_id, 'open alert of drift (' || string_agg(DISTINCT metric, ', ' ORDER BY metric) || ')' AS alert
    FROM drift_alerts
    WHERE resolved_at IS NULL AND (week_start IS NULL OR week_start <= :week_start)
    GROUP BY item_id
) AS d ON d.item_id = q.id
LEFT JOIN (
    SELECT DISTINCT e.item_id, 'DIF of class C' AS dif
    FROM fit CROSS JOIN LATERAL jsonb_array_elements_text(fit.items_c) AS e (item_id)
) AS g ON g.item_id = linked.item_id
WHERE linked.run_id = :run_id AND linked.a IS NOT NULL AND linked.b IS NOT NULL
ORDER BY 1;

-- name: history
-- The difficulty of each item (linked scale) in the newest five calibrations of the last 90 days that estimated it.
-- Grain: item and calibration. Params: week_start.
SELECT item_id, b FROM (
    SELECT
        linked.item_id::bigint AS item_id,
        linked.b,
        row_number() OVER (PARTITION BY linked.item_id ORDER BY linked.week_start DESC) AS nth
    FROM mirt_item_params_history AS linked
    INNER JOIN mirt_fit_meta AS f ON f.run_id = linked.run_id
    WHERE
        f.is_usable AND f.model_spec ->> 'scale_origin' <> 'unlinked' AND NOT linked.is_anchor AND linked.b IS NOT NULL
        AND linked.week_start <= :week_start AND linked.week_start > CAST(:week_start AS date) - 90
        AND (
            f.model_spec ->> 'filter' IS NULL
            OR NOT EXISTS (SELECT FROM mirt_fit_meta AS o WHERE o.model_spec ->> 'filter' IS NULL)
        )
) AS ranked
WHERE nth <= 5
ORDER BY item_id, nth;

-- name: newest_calibration
-- The calibration that anchors are chosen from: the newest usable one; a filtered one only while no other exists.
-- Grain: one row or none.
SELECT week_start, fitted_at
FROM mirt_fit_meta
WHERE
    is_usable
    AND (model_spec ->> 'filter' IS NULL OR NOT EXISTS (SELECT FROM mirt_fit_meta AS o WHERE o.model_spec ->> 'filter' IS NULL))
ORDER BY week_start DESC
LIMIT 1;

-- name: tagged
-- Every item with the tag 'anchor'. `has_parameters`: a calibration can fix the item at them.
-- Grain: tagged item.
SELECT
    id AS item_id,
    topic_id,
    COALESCE(
        jsonb_typeof(seedtest_question_meta(meta) #> '{irt,a}') = 'number'
        AND jsonb_typeof(seedtest_question_meta(meta) #> '{irt,b}') = 'number',
        false
    ) AS has_parameters
FROM question
WHERE seedtest_question_tags(meta) @> '["anchor"]'
ORDER BY id;

-- name: tag
-- Adds the tag and stores the parameters (linked scale) of the calibration that chose the item: later calibrations fix the
-- anchor at them. A meta or a tags value that was not understood stays as it is.
-- Grain: chosen item. Params: item_ids, run_id.
UPDATE question AS q
SET
    meta = seedtest_question_meta(q.meta) || jsonb_build_object(
        'tags',
        seedtest_question_tags(q.meta) || '["anchor"]',
        'irt',
        jsonb_strip_nulls(
            jsonb_build_object('a', linked.a, 'b', linked.b, 'c', linked.c, 'model', linked.model, 'version', linked.run_id)
        )
    ),
    updated_at = now()
FROM mirt_item_params_history AS linked
WHERE
    linked.run_id = :run_id AND linked.item_id = ANY(:item_ids) AND q.id = linked.item_id::bigint
    AND NOT seedtest_question_tags(q.meta) @> '["anchor"]';

-- name: write_back
-- Writes the calibration's parameters (linked scale) to question.meta.irt, with the run as `version`. Anchors keep their
-- values, because a scale that follows its own last estimate would drift. Items written here become anchors only when
-- somebody tags them. A meta that was not understood stays as it is.
-- Grain: item. Params: run_id.
UPDATE question AS q
SET meta = seedtest_question_meta(q.meta) || jsonb_build_object('irt', w.irt), updated_at = now()
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
    AND seedtest_question_meta(q.meta) IS NOT NULL
    AND NOT COALESCE(seedtest_question_tags(q.meta) @> '["anchor"]', false)
    AND seedtest_question_meta(q.meta) -> 'irt' IS DISTINCT FROM w.irt;

-- name: meta_not_understood
-- Questions whose meta is neither an object nor empty, so nothing is written to it. Grain: one row.
SELECT count(*) AS questions, (array_agg(id ORDER BY id))[1:5] AS first_ids
FROM question
WHERE seedtest_question_meta(meta) IS NULL;
