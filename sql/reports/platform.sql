-- What the operators' page of a week shows besides the counts of sql/reports/cohorts.sql. Each statement gives one JSON value.
-- Grain:  one row for each statement.
-- Inputs: attempt, attempt_quarantine, attempt_sync, load_rejects, mirt_fit_meta, anchor_candidates, item_calibration,
--         drift_alerts, prediction_verdict, prediction_backtest, fairness_audit, prophet_fit_meta, prophet_anomalies,
--         segment_meta, segment_profile, weekly_kpi, student_growth, platform_health.
-- Params: week_start, as_of, week_at (the first instant of the week).

-- name: quarantine
-- Reasons of malformed elements, with those of the week's exams.
SELECT COALESCE(jsonb_agg(to_jsonb(q) ORDER BY q.elements DESC, q.reason), '[]'::jsonb)::text AS value
FROM (
    SELECT
        reason,
        count(*) AS elements,
        count(*) FILTER (WHERE is_excluded) AS excluded,
        count(*) FILTER (WHERE completed_at >= :week_at AND completed_at < :as_of) AS of_week
    FROM attempt_quarantine
    WHERE completed_at < :as_of OR completed_at IS NULL
    GROUP BY reason
) AS q;

-- name: rejects
-- Reasons of rows of attempt logs that were not loaded, or loaded without a field.
SELECT COALESCE(jsonb_agg(to_jsonb(r) ORDER BY r.rows DESC, r.reason), '[]'::jsonb)::text AS value
FROM (
    SELECT reason, count(*) AS rows, count(*) FILTER (WHERE is_excluded) AS excluded
    FROM load_rejects
    GROUP BY reason
    ORDER BY count(*) DESC, reason
    LIMIT 10
) AS r;

-- name: data
-- The answers of the week. Elements are the parts of all exams that the attempt log has read.
SELECT jsonb_build_object(
    'attempts', count(*),
    'unanswered', count(*) FILTER (WHERE NOT is_answered),
    'untimed', count(*) FILTER (WHERE is_answered AND recorded_time_ms IS NULL),
    'without_topic', count(*) FILTER (WHERE is_answered AND topic_id IS NULL),
    'elements', (SELECT COALESCE(sum(n_elements), 0) FROM attempt_sync)
)::text AS value
FROM attempt
WHERE completed_at >= :week_at AND completed_at < :as_of;

-- name: calibration
SELECT (
    SELECT to_jsonb(f) || jsonb_build_object('is_of_week', f.week_start = :week_start)
    FROM (
        SELECT week_start, model_spec, metrics, is_usable
        FROM mirt_fit_meta
        WHERE week_start <= :week_start
        ORDER BY week_start DESC
        LIMIT 1
    ) AS f
)::text AS value;

-- name: anchors
SELECT (
    SELECT jsonb_build_object(
        'week_start', min(week_start),
        'candidates', count(*),
        'tagged', count(*) FILTER (WHERE is_tagged),
        'chosen', count(*) FILTER (WHERE rank IS NOT NULL),
        'tagged_unstable', count(*) FILTER (WHERE is_tagged AND NOT is_stable),
        'tagged_flagged', count(*) FILTER (WHERE is_tagged AND is_flagged),
        'missing_answers', count(*) FILTER (WHERE NOT has_responses)
    )
    FROM anchor_candidates
    WHERE week_start = (SELECT max(week_start) FROM anchor_candidates WHERE week_start <= :week_start)
    HAVING count(*) > 0
)::text AS value;

-- name: drift
SELECT (
    SELECT jsonb_build_object(
        'week_start', c.week_start,
        'moved', count(*) FILTER (WHERE c.drift_verdict = 'moved'),
        'no_drift', count(*) FILTER (WHERE c.drift_verdict = 'no_drift'),
        'cannot_be_judged', count(*) FILTER (WHERE c.drift_verdict = 'cannot_be_judged'),
        'questions', COALESCE((
            SELECT jsonb_agg(to_jsonb(q) ORDER BY q.verdict DESC, q.rank)
            FROM (
                SELECT
                    item_id::text AS item_id, drift_verdict AS verdict, n AS answers, dif -> 'delta_b' AS change,
                    minimum_detectable_b AS found_from, power_b AS power, drift_in_topic ->> 'origin' AS origin,
                    drift_in_topic -> 'topic_delta' AS topic_change, drift_in_topic -> 'gap_change' AS gap_change,
                    drift_in_topic -> 'gap_change_se' AS gap_change_se,
                    row_number() OVER (
                        PARTITION BY drift_verdict
                        ORDER BY
                            CASE WHEN drift_verdict = 'moved' THEN abs((dif ->> 'delta_b')::float8) END DESC NULLS LAST,
                            n DESC NULLS LAST, item_id
                    ) AS rank
                FROM item_calibration
                WHERE week_start = c.week_start AND drift_verdict IN ('moved', 'cannot_be_judged')
            ) AS q
            WHERE q.rank <= 10
        ), '[]'::jsonb),
        'power', (
            SELECT jsonb_object_agg(p.verdict, to_jsonb(p) - 'verdict')
            FROM (
                SELECT
                    drift_verdict AS verdict,
                    percentile_cont(0.5) WITHIN GROUP (ORDER BY minimum_detectable_b) AS found_from,
                    percentile_cont(0.5) WITHIN GROUP (ORDER BY power_b) AS power
                FROM item_calibration
                WHERE week_start = c.week_start AND drift_verdict IS NOT NULL
                GROUP BY drift_verdict
            ) AS p
        ),
        'alerts', COALESCE((
            SELECT jsonb_agg(to_jsonb(a) ORDER BY a.rank)
            FROM (
                SELECT
                    item_id::text AS item_id, metric, value, severity,
                    row_number() OVER (
                        ORDER BY array_position(ARRAY['severe', 'moderate', 'minor'], severity), abs(value) DESC, item_id
                    ) AS rank
                FROM drift_alerts
                WHERE week_start = c.week_start AND resolved_at IS NULL
                ORDER BY rank
                LIMIT 10
            ) AS a
        ), '[]'::jsonb)
    )
    FROM item_calibration AS c
    WHERE
        c.drift_verdict IS NOT NULL
        AND c.week_start = (
            SELECT max(week_start) FROM item_calibration WHERE week_start <= :week_start AND drift_verdict IS NOT NULL
        )
    GROUP BY c.week_start
)::text AS value;

-- name: audits
-- The newest audit by group up to the week, without the rows of the reference.
SELECT COALESCE(jsonb_agg(to_jsonb(a) ORDER BY a.prediction, a.group_name), '[]'::jsonb)::text AS value
FROM (
    SELECT
        week_start, prediction, covariate, group_name, reference, n_students, auc_gap, abroca, ranking_verdict,
        calibration_gap, calibration_verdict
    FROM fairness_audit
    WHERE
        week_start = (SELECT max(week_start) FROM fairness_audit WHERE week_start <= :week_start)
        AND ranking_verdict <> 'reference'
) AS a;

-- name: verdicts
SELECT COALESCE(jsonb_agg(to_jsonb(v) ORDER BY v.prediction, v.method), '[]'::jsonb)::text AS value
FROM (
    SELECT prediction, method, students, verdict, reason, n, n_weeks, brier_model, brier_reference
    FROM prediction_verdict
    WHERE week_start = :week_start
) AS v;

-- name: backtest
-- The newest judged week of each prediction.
SELECT COALESCE(jsonb_agg(to_jsonb(b) ORDER BY b.prediction), '[]'::jsonb)::text AS value
FROM (
    SELECT DISTINCT ON (prediction)
        prediction, week_start, method, n, brier_skill, mae, mae_baseline, log_skill, calibration_slope, auc, coverage,
        coverage_level, is_credible, reasons
    FROM prediction_backtest
    WHERE week_start <= :week_start
    ORDER BY prediction, week_start DESC
) AS b;

-- name: forecasts
-- The newest forecast of each series of the whole cohort, with its first week ahead.
SELECT COALESCE(jsonb_agg(to_jsonb(f) ORDER BY f.metric), '[]'::jsonb)::text AS value
FROM (
    SELECT DISTINCT ON (metric)
        metric,
        method,
        week_start,
        CASE WHEN jsonb_typeof(forecast) = 'array' THEN forecast -> 0 END AS next,
        fit_meta -> 'beats_baseline' AS beats_baseline,
        fit_meta ->> 'reason' AS reason
    FROM prophet_fit_meta
    WHERE user_id IS NULL AND week_start <= :week_start
    ORDER BY metric, week_start DESC
) AS f;

-- name: anomalies
-- Unusual weeks of the last eight.
SELECT COALESCE(jsonb_agg(to_jsonb(a) ORDER BY a.week_start DESC, a.metric), '[]'::jsonb)::text AS value
FROM (
    SELECT DISTINCT ON (metric, week_start) metric, week_start, value, expected, anomaly_score
    FROM prophet_anomalies
    WHERE fit_week <= :week_start AND week_start > CAST(:week_start AS date) - 56 AND week_start <= :week_start
    ORDER BY metric, week_start, fit_week DESC
) AS a;

-- name: segments
SELECT (
    SELECT jsonb_build_object(
        'week_start', m.week_start, 'method', m.method, 'n_segments', m.n_clusters, 'students', m.n_users,
        'profiles', COALESCE((
            SELECT jsonb_agg(jsonb_build_object(
                'label', p.segment_label, 'students', p.n, 'share', p.share, 'jaccard', p.jaccard
            ) ORDER BY p.n DESC, p.segment_id)
            FROM segment_profile AS p WHERE p.run_id = m.run_id
        ), '[]'::jsonb)
    )
    FROM segment_meta AS m
    WHERE m.week_start <= :week_start
    ORDER BY m.week_start DESC
    LIMIT 1
)::text AS value;

-- name: gaps
-- Numbers of the week that could not be computed, by reason. A row of the legacy pipeline has no code.
SELECT COALESCE(jsonb_agg(to_jsonb(g) ORDER BY g.students DESC, g.number, g.code), '[]'::jsonb)::text AS value
FROM (
    SELECT n.number, COALESCE(k.kpis ->> (n.number || '_reason_code'), '') AS code, count(*) AS students
    FROM weekly_kpi AS k
    CROSS JOIN (VALUES ('I_t'), ('E_t'), ('R_t'), ('A_t'), ('P'), ('S')) AS n (number)
    WHERE k.week_start = :week_start AND COALESCE(jsonb_typeof(k.kpis -> n.number), 'null') <> 'number'
    GROUP BY 1, 2
) AS g;

-- name: growth_gaps
SELECT COALESCE(jsonb_agg(to_jsonb(g) ORDER BY g.students DESC, g.reason), '[]'::jsonb)::text AS value
FROM (
    SELECT reason, count(*) AS students
    FROM student_growth
    WHERE week_start = :week_start AND reason IS NOT NULL
    GROUP BY reason
) AS g;

-- name: health
-- Assets that are not well, as of the newest look; NULL before the first.
SELECT (
    SELECT jsonb_build_object(
        'computed_at', max(computed_at),
        'assets', count(*),
        'unwell', COALESCE(
            jsonb_agg(jsonb_build_object(
                'asset', asset, 'state', state, 'checks', (SELECT jsonb_agg(c.name ORDER BY c.name)
                    FROM jsonb_object_keys(failed_checks) AS c (name))
            ) ORDER BY array_position(ARRAY['failed', 'stale', 'never', 'warning'], state), asset)
            FILTER (WHERE state <> 'ok'), '[]'::jsonb
        )
    )
    FROM platform_health
    HAVING count(*) > 0
)::text AS value;
