-- Which calibration defines the platform's scale, and which item parameters a week is scored with.
-- Grain:  see each statement.
-- Inputs: mirt_fit_meta, mirt_item_bank, mirt_item_params_history, mirt_ability, student_topic_theta and its history.
-- Params: see each statement.
-- Scales: a calibration estimates items on its own scale; it is then placed on the platform's linked scale (θ* = A θ + B)
--         and stored. So a, b, se_a and se_b in mirt_item_params_history are on the linked scale, except those of a run
--         with scale_origin 'unlinked', which stay on the run's own scale. c does not depend on the scale.
-- Filter: model_spec.filter is null for a calibration of all answers. A filtered calibration counts only while no
--         calibration of all answers exists.

-- name: references
-- The calibrations that the week may be linked to, the first choice first. The last usable calibration, of any origin,
-- decides on the scale. The origin of that scale comes first if it is stored, because linking errors add up from week to
-- week. Then the last calibration with every item that it keeps.
-- A calibration of all answers is never linked to a filtered one. The origin of a scale stays it when its week is
-- calibrated again: later weeks, and weeks on its own scale, do not count then.
-- Grain: calibration, at most two. Params: week_start, own_scale (the scale that the week would begin), is_filtered.
WITH usable AS MATERIALIZED (
    SELECT
        run_id,
        version,
        COALESCE(model_spec ->> 'scale', version) AS scale,
        model_spec ->> 'scale_origin' = 'own' AS is_origin,
        row_number() OVER (
            ORDER BY
                model_spec ->> 'filter' IS NOT NULL, week_start > :week_start, abs(week_start - CAST(:week_start AS date))
        ) AS distance
    FROM mirt_fit_meta
    WHERE
        is_usable AND model_spec ->> 'scale_origin' <> 'unlinked' AND week_start <> :week_start
        AND (model_spec ->> 'filter' IS NULL OR :is_filtered)
        AND COALESCE(model_spec ->> 'scale', version) <> :own_scale
        AND (week_start < :week_start OR NOT EXISTS (
            SELECT FROM mirt_fit_meta AS o WHERE o.week_start = :week_start AND o.model_spec ->> 'scale_origin' = 'own'
        ))
)
SELECT u.run_id, u.version, u.scale
FROM usable AS u
INNER JOIN usable AS newest ON newest.distance = 1 AND newest.scale = u.scale
WHERE u.is_origin OR u.distance = 1
ORDER BY u.is_origin DESC, u.distance
LIMIT 2;

-- name: of_all_answers
-- A calibration of all answers, usable or not: the week's own, else the newest.
-- Grain: one row or none. Params: week_start.
SELECT run_id, week_start
FROM mirt_fit_meta
WHERE model_spec ->> 'filter' IS NULL
ORDER BY week_start = :week_start DESC, week_start DESC
LIMIT 1;

-- name: parameters_of
-- The item parameters to score with and to link to, on the linked scale: the calibration's own and those that it keeps.
-- Items whose flag says that they would bias an ability (a wrong key) are left out.
-- Grain: item. Params: run_id, not_for_scoring (flags), except_week (whose own parameters are left out; NULL: none).
SELECT item_id, model, a, b, c, se_a, se_b, se_c, n_responses, method, age_days
FROM mirt_item_bank
WHERE
    run_id = :run_id
    AND source_week_start IS DISTINCT FROM CAST(:except_week AS date)
    AND (flag IS NULL OR flag <> ALL(CAST(:not_for_scoring AS text[])))
ORDER BY item_id;

-- name: usable_for
-- The calibration to score a week with: the newest usable one on the linked scale, up to and including the week.
-- Grain: one row or none. Params: week_start.
SELECT run_id, week_start, version, model_spec, metrics
FROM mirt_fit_meta
WHERE
    is_usable AND model_spec ->> 'scale_origin' <> 'unlinked' AND week_start <= :week_start
    AND (model_spec ->> 'filter' IS NULL OR NOT EXISTS (SELECT FROM mirt_fit_meta AS o WHERE o.model_spec ->> 'filter' IS NULL))
ORDER BY week_start DESC
LIMIT 1;

-- name: ability_moments
-- Mean and SD of the abilities of two weeks, on the linked scale.
-- Grain: week. Params: first_week, last_week.
SELECT week_start, count(*) AS n, avg(theta) AS mean, stddev_pop(theta) AS sd
FROM mirt_ability
WHERE week_start IN (:first_week, :last_week)
GROUP BY week_start;

-- name: abilities
-- The abilities of a week, on the linked scale. Grain: student. Params: week_start.
SELECT theta FROM mirt_ability WHERE week_start = :week_start ORDER BY user_id;

-- name: stage_current_topics
-- The newest ability (on the linked scale) of every student and topic that the week's scoring wrote or may have replaced.
-- Grain: student and topic. Params: week_start, version.
CREATE TEMP TABLE staged_current_topic ON COMMIT DROP AS
WITH touched AS (
    SELECT user_id, topic_id FROM student_topic_theta_history WHERE week_start = :week_start
    UNION
    SELECT user_id, topic_id FROM student_topic_theta WHERE version = :version
)
SELECT
    h.user_id,
    h.topic_id,
    h.theta,
    h.se,
    h.se::numeric AS standard_error,
    h.model,
    h.version,
    h.fitted_at,
    h.fitted_at AS updated_at,
    h.n_answers,
    h.answered_at,
    h.run_id,
    h.method
FROM touched AS t
CROSS JOIN LATERAL (
    SELECT s.*
    FROM student_topic_theta_history AS s
    WHERE s.user_id = t.user_id AND s.topic_id = t.topic_id
    ORDER BY s.fitted_at DESC, s.week_start DESC
    LIMIT 1
) AS h;

-- name: stage_current
-- The item parameters of a usable calibration, on the linked scale, as rows of the contract's table.
-- Grain: item. Params: run_id, dif (JSON object: item id to its comparisons between groups; {} without a covariate).
CREATE TEMP TABLE staged_current ON COMMIT DROP AS
SELECT
    linked.item_id,
    linked.model,
    jsonb_build_object('a', linked.a, 'b', linked.b, 'c', linked.c)
    || jsonb_strip_nulls(jsonb_build_object(
        'se_a', NULLIF(linked.se_a, 'NaN'), 'se_b', NULLIF(linked.se_b, 'NaN'), 'se_c', NULLIF(linked.se_c, 'NaN'),
        'n', linked.n_responses, 'flag', linked.flag, 'is_anchor', linked.is_anchor, 'dif', d.found
    )) AS params,
    f.version,
    f.fitted_at,
    f.run_id
FROM mirt_item_params_history AS linked
INNER JOIN mirt_fit_meta AS f ON f.run_id = linked.run_id
LEFT JOIN jsonb_each(CAST(:dif AS jsonb)) AS d (item_id, found) ON d.item_id = linked.item_id
WHERE
    f.run_id = :run_id AND f.is_usable AND f.model_spec ->> 'scale_origin' <> 'unlinked'
    AND linked.a IS NOT NULL AND linked.b IS NOT NULL;
