-- The data documents of a week's reports: one statement for all students, one JSON document in each row, and the files
-- that are stored of the student's report.
-- Grain:  student with a KPI row in the week.
-- Inputs: weekly_kpi, mirt_ability, interest_goal, features_topic_daily, attempt, mirt_item_bank, mirt_fit_meta,
--         growth_prediction, growth_brms_meta, survival_fit_meta, prophet_fit_meta, prophet_anomalies, user_segment,
--         segment_profile, segment_meta, ability_state, ability_topic_state, student_topic_theta_history, student_growth,
--         student_name, report_artifacts, report_pages.
-- Params: week_start, as_of, timezone, max_users (the most active students; NULL: all), user_id (one student; NULL: all),
--         shard, shards (the part of these students by a keyed hash; of 1: all).
-- Scale:  abilities, goals, discrimination and difficulty are on the platform's linked scale. linking_constants map the
--         newest calibration's own scale to it: θ* = A θ + B.
WITH of_week AS (
    SELECT user_id, kpis, COALESCE(fit.week_start, weekly_kpi.week_start) AS fit_week
    FROM weekly_kpi
    -- Compared as text: the cast of one student's KPI that is not a date would stop the reports of all.
    LEFT JOIN (SELECT DISTINCT week_start FROM growth_brms_meta) AS fit ON fit.week_start::text = kpis ->> 'P_fit_week'
    WHERE weekly_kpi.week_start = :week_start AND (CAST(:user_id AS text) IS NULL OR user_id = :user_id)
    ORDER BY
        CASE WHEN jsonb_typeof(kpis -> 'A_t_n_attempts') = 'number' THEN (kpis -> 'A_t_n_attempts')::numeric END
        DESC NULLS LAST, user_id
    LIMIT :max_users
),
student AS (
    SELECT user_id, kpis, fit_week
    FROM of_week
    WHERE
        CAST(:shards AS bigint) = 1
        OR mod(hashtextextended(user_id, 20251103) & 2147483647, :shards) = :shard
),
history AS (
    SELECT k.user_id, jsonb_agg(jsonb_build_object('week_start', k.week_start, 'kpis', k.kpis) ORDER BY k.week_start) AS value
    FROM weekly_kpi AS k
    WHERE
        k.week_start >= CAST(:week_start AS date) - 56 AND k.week_start < :week_start
        AND k.user_id IN (SELECT user_id FROM student)
    GROUP BY k.user_id
),
ability AS (
    SELECT
        m.user_id,
        -- An ability as of Monday 00:00 has the date of the Sunday before.
        jsonb_agg(jsonb_build_object(
            'date', ((m.fitted_at AT TIME ZONE :timezone) - INTERVAL '1 microsecond')::date, 'theta', m.theta, 'se', m.se
        ) ORDER BY m.fitted_at, m.week_start) AS value
    FROM mirt_ability AS m
    WHERE
        m.week_start > CAST(:week_start AS date) - 56 AND m.week_start <= :week_start
        AND m.user_id IN (SELECT user_id FROM student)
    GROUP BY m.user_id
),
goal AS (
    SELECT
        g.user_id,
        jsonb_agg(jsonb_build_object('topic_id', g.topic_id, 'target_level', g.target_level, 'priority', g.priority)
            ORDER BY g.priority DESC, g.topic_id) AS value
    FROM interest_goal AS g
    WHERE g.created_at < :as_of AND g.user_id IN (SELECT user_id FROM student)
    GROUP BY g.user_id
),
topic AS (
    SELECT
        f.user_id,
        jsonb_agg(jsonb_build_object(
            'topic_id', f.topic_id, 'date', f.date, 'attempts', f.attempts, 'correct', f.correct,
            'attempts_once', COALESCE(f.attempts_once, f.attempts),
            'correct_once', COALESCE(f.correct_once, f.correct),
            'avg_time_ms', f.avg_time_ms, 'rt_median', f.rt_median, 'hints', f.hints,
            'theta_estimate', f.theta_estimate, 'theta_sd', f.theta_sd, 'improvement', f.improvement
        ) ORDER BY f.date, f.topic_id) AS value
    FROM features_topic_daily AS f
    WHERE
        f.date >= CAST(:week_start AS date) - 21 AND f.date <= CAST(:week_start AS date) + 6
        AND f.user_id IN (SELECT user_id FROM student)
    GROUP BY f.user_id
),
-- As of the end of the week; a feature of the week has the ability of the week before.
topic_ability AS (
    SELECT
        h.user_id,
        jsonb_object_agg(h.topic_id, jsonb_build_object('theta', h.theta, 'se', h.se)) AS value
    FROM student_topic_theta_history AS h
    WHERE h.week_start = :week_start AND h.user_id IN (SELECT user_id FROM student)
    GROUP BY h.user_id
),
-- Where the week's abilities are dynamic.
next_right AS (
    SELECT e.user_id, jsonb_object_agg(e.topic_id, e.next_right) AS value
    FROM ability_topic_state AS e
    INNER JOIN mirt_ability AS m ON m.user_id = e.user_id AND m.week_start = e.week_start AND m.method = 'dynamic'
    WHERE
        e.week_start = :week_start AND e.next_right IS NOT NULL
        AND e.user_id IN (SELECT user_id FROM student)
    GROUP BY e.user_id
),
linking AS (
    SELECT model_spec -> 'linking_constants' || jsonb_build_object('_run_id', run_id, '_fitted_at', fitted_at) AS value
    FROM mirt_fit_meta
    WHERE
        week_start <= :week_start AND jsonb_typeof(model_spec -> 'linking_constants') = 'object'
        AND (
            model_spec ->> 'filter' IS NULL
            OR NOT EXISTS (SELECT FROM mirt_fit_meta AS o WHERE o.model_spec ->> 'filter' IS NULL)
        )
    ORDER BY week_start DESC
    LIMIT 1
),
-- The calibration that the week was scored with; its parameters are on the linked scale.
scale AS (
    SELECT run_id, fitted_at
    FROM mirt_fit_meta
    WHERE
        is_usable AND model_spec ->> 'scale_origin' <> 'unlinked' AND week_start <= :week_start
        AND (
            model_spec ->> 'filter' IS NULL
            OR NOT EXISTS (SELECT FROM mirt_fit_meta AS o WHERE o.model_spec ->> 'filter' IS NULL)
        )
    ORDER BY week_start DESC
    LIMIT 1
),
-- Whether questions return at all; the same in every report.
repeated AS (
    SELECT avg(CASE WHEN answer_no > 1 THEN 1.0 ELSE 0.0 END)::float8 AS share
    FROM attempt
    WHERE completed_at >= CAST(:as_of AS timestamptz) - INTERVAL '56 days' AND completed_at < :as_of AND is_answered
),
-- The cohort's newest forecast up to this week; the same in every report.
cohort_forecast AS (
    SELECT jsonb_build_object(
        'fit_meta', f.fit_meta - 'insample',
        'forecast_data', f.forecast,
        'anomalies', COALESCE((
            SELECT jsonb_agg(jsonb_build_object('week', a.week_start, 'score', a.value, 'anomaly_score', a.anomaly_score)
                ORDER BY a.week_start DESC)
            FROM (SELECT * FROM prophet_anomalies WHERE run_id = f.run_id ORDER BY week_start DESC LIMIT 12) AS a
        ), '[]'::jsonb),
        'fitted_at', f.fitted_at
    ) AS value
    FROM prophet_fit_meta AS f
    WHERE f.metric = 'I_t' AND f.user_id IS NULL AND f.week_start <= :week_start AND f.fit_meta ->> 'status' <> 'none'
    ORDER BY f.week_start DESC
    LIMIT 1
)
SELECT
    jsonb_build_object(
        'user_id', s.user_id,
        'week_start', CAST(:week_start AS date),
        'time_zone', CAST(:timezone AS text),
        'generated_at', CAST(:as_of AS timestamptz),
        'kpis', s.kpis,
        'kpi_history', COALESCE(h.value, '[]'::jsonb),
        'student_name', n.name,
        'ability_trend', COALESCE(a.value, '[]'::jsonb),
        'ability_pace', CASE WHEN e.user_id IS NOT NULL THEN jsonb_build_object('per_week', e.slope, 'se', e.slope_se) END,
        'goals', COALESCE(g.value, '[]'::jsonb),
        'topic_features', COALESCE(t.value, '[]'::jsonb),
        'topic_abilities', COALESCE(ta.value, '{}'::jsonb),
        'next_right', COALESCE(nr.value, '{}'::jsonb),
        'item_params', COALESCE(i.value, '[]'::jsonb),
        'linking_constants', (SELECT value FROM linking),
        -- The pace of the fit that gave P, else of the week's own fit (METRICS_USE_BAYESIAN may be off). P and its projection
        -- are those of the week's KPIs: moved to its date, and corrected or withheld as past outcomes decide.
        'bayesian_growth', CASE WHEN w.user_id IS NOT NULL THEN jsonb_build_object(
            'slope_per_week', w.slope_mean, 'slope_sd', w.slope_sd, 'target', w.target,
            'score_unit', COALESCE(b.model_spec ->> 'score_unit', 'logit'),
            'horizon_source', w.horizon_source, 'n_weeks', w.n_weeks, 'fitted_at', b.fitted_at
        ) || CASE WHEN s.kpis ->> 'P_method' = 'bayesian' THEN jsonb_build_object(
            'P', s.kpis -> 'P', 'P_lower', s.kpis -> 'P_lower', 'P_upper', s.kpis -> 'P_upper', 'sigma', s.kpis -> 'sigma',
            'projected', s.kpis -> 'P_projected', 'horizon_date', s.kpis -> 'P_horizon_date'
        ) ELSE '{}'::jsonb END END,
        'student_growth', CASE WHEN x.user_id IS NOT NULL THEN jsonb_build_object(
            'weeks', x.weeks, 'percentile', x.percentile, 'percentile_lower', x.percentile_lower,
            'percentile_upper', x.percentile_upper, 'pace', x.pace, 'pace_se', x.pace_se, 'typical_pace', x.typical_pace,
            'needed_pace', x.needed_pace, 'needed_percentile', x.needed_percentile, 'distance', x.distance,
            'horizon_date', x.horizon_date, 'target_source', x.target_source, 'n_reference', x.n_reference, 'reason', x.reason
        ) END,
        'prophet_forecast', (SELECT value FROM cohort_forecast),
        'survival_risk', CASE WHEN c.run_id IS NOT NULL THEN jsonb_build_object(
            'churn_risk', s.kpis -> 'S',
            'fit_meta', jsonb_build_object(
                'coefficients', c.coefficients, 'hazard_ratios', c.hazard_ratios,
                'hazard_ratio_intervals', c.hazard_ratio_intervals, 'concordance', c.concordance,
                'survival_curve', c.survival_curve
            ),
            'columns', COALESCE(c.model -> 'design' -> 'columns', '[]'::jsonb),
            'fitted_at', c.fitted_at
        ) END,
        'repeated_share', (SELECT share FROM repeated),
        'user_segment', CASE WHEN u.user_id IS NOT NULL THEN jsonb_build_object(
            'segment_label', u.segment_label, 'segment_description', p.segment_description,
            'features_snapshot', u.features_snapshot, 'assigned_at', u.assigned_at,
            'centre', COALESCE(p.centre, '{}'::jsonb), 'n_segments', m.n_clusters, 'jaccard', p.jaccard
        ) END
    )::text AS document,
    COALESCE((
        SELECT jsonb_agg(to_jsonb(f))
        FROM (
            SELECT 'report' AS name, format, inputs, sha256, url FROM report_artifacts
            WHERE user_id = s.user_id AND week_start = :week_start AND inputs IS NOT NULL
            UNION ALL
            SELECT page, 'html', inputs, sha256, url FROM report_pages
            WHERE page = 'teacher' AND subject = s.user_id AND week_start = :week_start AND inputs IS NOT NULL
        ) AS f
    ), '[]'::jsonb)::text AS files
FROM student AS s
LEFT JOIN history AS h ON h.user_id = s.user_id
LEFT JOIN ability AS a ON a.user_id = s.user_id
LEFT JOIN goal AS g ON g.user_id = s.user_id
LEFT JOIN topic AS t ON t.user_id = s.user_id
LEFT JOIN topic_ability AS ta ON ta.user_id = s.user_id
LEFT JOIN next_right AS nr ON nr.user_id = s.user_id
LEFT JOIN growth_prediction AS w
    ON w.user_id = s.user_id AND w.week_start = s.fit_week AND w.week_start >= (SELECT min(fit_week) FROM student)
LEFT JOIN growth_brms_meta AS b ON b.run_id = w.run_id
LEFT JOIN survival_fit_meta AS c ON c.run_id = s.kpis ->> 'S_fit_run_id'
LEFT JOIN user_segment AS u ON u.user_id = s.user_id AND u.week_start <= :week_start
LEFT JOIN segment_meta AS m ON m.run_id = u.run_id
LEFT JOIN student_name AS n ON n.user_id = s.user_id
LEFT JOIN ability_state AS e ON e.user_id = s.user_id AND e.week_start = CAST(:week_start AS date)
LEFT JOIN student_growth AS x ON x.user_id = s.user_id AND x.week_start = CAST(:week_start AS date)
LEFT JOIN segment_profile AS p ON p.run_id = u.run_id AND p.segment_id = u.segment_id
LEFT JOIN LATERAL (
    SELECT
        jsonb_agg(jsonb_build_object(
            'item_id', linked.item_id, 'discrimination', linked.a, 'difficulty', linked.b,
            'guessing', linked.c, 'model', linked.model, 'fitted_at', linked.estimated_at
        ) ORDER BY linked.item_id) AS value
    FROM (
        -- The newest ones, so that the limit of the contract prefers no item.
        SELECT l.item_id
        FROM attempt AS l
        WHERE
            l.user_id = s.user_id AND l.is_answered
            AND l.completed_at >= :as_of - INTERVAL '28 days' AND l.completed_at < :as_of
        GROUP BY l.item_id
        ORDER BY max(l.completed_at) DESC, l.item_id
        LIMIT 200
    ) AS met
    CROSS JOIN scale
    INNER JOIN mirt_item_bank AS linked ON linked.run_id = scale.run_id AND linked.item_id = met.item_id::text
) AS i ON true
ORDER BY s.user_id;
