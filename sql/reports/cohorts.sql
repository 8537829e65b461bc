-- The data of the weekly pages of classes and organisations, as sets: no statement is about one student.
-- Grain:  see each statement. A page is a scope ('class' or 'organisation') and its key.
-- Inputs: weekly_kpi, attempt, session, classroom, enrolment, student_name, features_topic_daily, report_artifacts, ability_state,
--         ability_topic_state, mirt_fit_meta, mirt_item_bank, mirt_item_params, item_calibration.
-- Params: week_start, as_of, since (the first instant of four weeks), curves_since (of eight), member_since, timezone,
--         minimum (students that a group needs).
-- Scale:  abilities and difficulties are on the platform's linked scale (logits).

-- name: has_classes
-- Whether the web application has its tables of sessions and classes. Grain: one row.
SELECT to_regclass('session') IS NOT NULL AND to_regclass('classroom') IS NOT NULL AS has_classes;

-- name: stage_members
-- Class and organisation of each student with KPIs in the week: those of the newest session in member_since..as_of that
-- names a class; without one, the class in which a roster has the student in the week (the only one, else the homeroom);
-- without that, the organisation of the newest exam. Grain: student.
CREATE TEMP TABLE cohort_member ON COMMIT DROP AS
WITH seen AS (
    SELECT user_id, session_id, org_id, max(completed_at) AS seen_at
    FROM attempt
    WHERE completed_at >= :member_since AND completed_at < :as_of
    GROUP BY user_id, session_id, org_id
),
of_class AS (
    SELECT DISTINCT ON (v.user_id)
        v.user_id,
        s.classroom_id AS class_id,
        COALESCE(c.org_id, s.org_id::text, v.org_id::text) AS org_id
    FROM seen AS v
    INNER JOIN session AS s ON s.id = v.session_id
    LEFT JOIN classroom AS c ON c.id = s.classroom_id
    WHERE s.classroom_id <> ''
    ORDER BY v.user_id, v.seen_at DESC, v.session_id DESC
),
enrolled AS (
    SELECT
        user_id,
        CASE
            WHEN count(DISTINCT classroom_id) = 1 THEN min(classroom_id)
            WHEN count(DISTINCT classroom_id) FILTER (WHERE is_homeroom) = 1
                THEN min(classroom_id) FILTER (WHERE is_homeroom)
        END AS class_id
    FROM enrolment
    WHERE
        role = 'student'
        AND COALESCE(begins_on, '-infinity') < CAST(:week_start AS date) + 7
        AND COALESCE(ends_on, 'infinity') > :week_start
    GROUP BY user_id
),
of_organisation AS (
    SELECT DISTINCT ON (user_id) user_id, org_id::text AS org_id
    FROM seen
    WHERE org_id IS NOT NULL
    ORDER BY user_id, seen_at DESC, session_id DESC
)
SELECT
    k.user_id,
    COALESCE(c.class_id, n.class_id) AS class_id,
    COALESCE(c.org_id, r.org_id, o.org_id) AS org_id
FROM weekly_kpi AS k
LEFT JOIN of_class AS c ON c.user_id = k.user_id
LEFT JOIN enrolled AS n ON n.user_id = k.user_id AND c.class_id IS NULL
LEFT JOIN classroom AS r ON r.id = n.class_id
LEFT JOIN of_organisation AS o ON o.user_id = k.user_id
WHERE k.week_start = :week_start;

-- name: stage_members_without_classes
-- The same where there are no tables of sessions and classes. Grain: student.
CREATE TEMP TABLE cohort_member ON COMMIT DROP AS
SELECT k.user_id, NULL::text AS class_id, o.org_id
FROM weekly_kpi AS k
LEFT JOIN (
    SELECT DISTINCT ON (user_id) user_id, org_id::text AS org_id
    FROM attempt
    WHERE completed_at >= :member_since AND completed_at < :as_of AND org_id IS NOT NULL
    ORDER BY user_id, completed_at DESC, session_id DESC
) AS o ON o.user_id = k.user_id
WHERE k.week_start = :week_start;

-- name: stage_names
-- Grain: class.
CREATE TEMP TABLE cohort_name ON COMMIT DROP AS
SELECT m.class_id, c.name, c.grade, min(m.org_id) AS org_id, count(*) AS students
FROM cohort_member AS m
LEFT JOIN classroom AS c ON c.id = m.class_id
WHERE m.class_id IS NOT NULL
GROUP BY m.class_id, c.name, c.grade;

-- name: stage_names_without_classes
CREATE TEMP TABLE cohort_name (class_id text, name text, grade smallint, org_id text, students bigint) ON COMMIT DROP;

-- name: stage_pages
-- Whom each page is about. A class below the minimum has no member here, and an organisation has the members of its classes
-- that are large enough: the difference of two pages must not be the numbers of a small class. 'rest' are the students of an
-- organisation without a class. Grain: page and student.
CREATE TEMP TABLE cohort_page ON COMMIT DROP AS
WITH grouped AS (
    SELECT
        user_id,
        class_id,
        org_id,
        count(*) OVER (PARTITION BY class_id, CASE WHEN class_id IS NULL THEN org_id END) AS students
    FROM cohort_member
    WHERE class_id IS NOT NULL OR org_id IS NOT NULL
)
SELECT 'class' AS scope, class_id AS subject, user_id FROM grouped WHERE class_id IS NOT NULL AND students >= :minimum
UNION ALL
SELECT 'rest' AS scope, org_id AS subject, user_id FROM grouped WHERE class_id IS NULL AND students >= :minimum
UNION ALL
SELECT 'organisation' AS scope, org_id AS subject, user_id FROM grouped WHERE org_id IS NOT NULL AND students >= :minimum;

-- name: stage_week
-- The week of each student. Days are those of features_topic_daily; an answer with several topics counts once. The next step
-- and whether help is needed are those of the student's own report. Grain: student.
CREATE TEMP TABLE cohort_student ON COMMIT DROP AS
SELECT
    m.user_id,
    n.name,
    COALESCE(f.answers, 0) AS answers,
    COALESCE(f.correct, 0) AS correct,
    COALESCE(f.usual, 0) AS usual,
    r.user_id IS NOT NULL AS has_report,
    r.needs_help,
    r.step,
    -- Keys of a KPI row are checked before they are cast: the row of one student must not stop a page.
    CASE WHEN jsonb_typeof(k.kpis -> 'S_days_silent') = 'number' THEN (k.kpis -> 'S_days_silent')::float8 END AS days_silent,
    k.kpis ->> 'S_state' AS state,
    CASE WHEN jsonb_typeof(k.kpis -> 'S_reason_codes') = 'array' THEN k.kpis -> 'S_reason_codes' ELSE '[]'::jsonb END AS reasons
FROM cohort_member AS m
INNER JOIN weekly_kpi AS k ON k.user_id = m.user_id AND k.week_start = :week_start
LEFT JOIN student_name AS n ON n.user_id = m.user_id
LEFT JOIN (
    SELECT
        user_id,
        sum(COALESCE(attempts_once, attempts)) FILTER (WHERE date >= :week_start) AS answers,
        sum(COALESCE(correct_once, correct)) FILTER (WHERE date >= :week_start) AS correct,
        sum(COALESCE(attempts_once, attempts)) FILTER (WHERE date < :week_start) AS usual
    FROM features_topic_daily
    WHERE date >= CAST(:week_start AS date) - 21 AND date <= CAST(:week_start AS date) + 6
    GROUP BY user_id
) AS f ON f.user_id = m.user_id
LEFT JOIN (
    SELECT DISTINCT ON (user_id)
        user_id,
        needs_help,
        CASE WHEN jsonb_typeof(advice) = 'array' THEN advice -> 0 END AS step
    FROM report_artifacts
    WHERE week_start = :week_start
    ORDER BY user_id, format
) AS r ON r.user_id = m.user_id;

-- name: stage_growth
-- The gain of each group since the first of nine weeks in which at least `minimum` of its students have a level, over the
-- students that have one then and now. Grain: page and week.
CREATE TEMP TABLE cohort_growth ON COMMIT DROP AS
WITH level AS (
    SELECT p.scope, p.subject, p.user_id, a.week_start, a.level
    FROM cohort_page AS p
    INNER JOIN ability_state AS a ON a.user_id = p.user_id
    WHERE a.week_start >= CAST(:week_start AS date) - 56 AND a.week_start <= :week_start
),
first_week AS (
    SELECT scope, subject, min(week_start) AS week_start
    FROM (
        SELECT scope, subject, week_start FROM level GROUP BY scope, subject, week_start HAVING count(*) >= :minimum
    ) AS large
    GROUP BY scope, subject
),
followed AS (
    SELECT b.scope, b.subject, b.user_id, b.level AS base
    FROM level AS b
    INNER JOIN first_week AS f ON f.scope = b.scope AND f.subject = b.subject AND f.week_start = b.week_start
    INNER JOIN level AS e
        ON e.scope = b.scope AND e.subject = b.subject AND e.user_id = b.user_id AND e.week_start = :week_start
)
SELECT
    f.scope,
    f.subject,
    l.week_start,
    count(*) AS students,
    avg(l.level - f.base) AS gain,
    COALESCE(stddev_samp(l.level - f.base), 0) AS gain_sd,
    avg(l.level) AS level
FROM followed AS f
INNER JOIN level AS l ON l.scope = f.scope AND l.subject = f.subject AND l.user_id = f.user_id
GROUP BY f.scope, f.subject, l.week_start
HAVING count(*) >= :minimum;

-- name: stage_topics
-- Topics of four weeks. Grain: page and topic.
CREATE TEMP TABLE cohort_topic ON COMMIT DROP AS
SELECT
    f.scope,
    f.subject,
    f.topic_id,
    f.answers_week,
    f.answers,
    f.correct,
    f.students,
    a.ability
FROM (
    SELECT
        p.scope,
        p.subject,
        d.topic_id,
        sum(d.attempts) FILTER (WHERE d.date >= :week_start) AS answers_week,
        sum(d.attempts) AS answers,
        sum(d.correct) AS correct,
        count(DISTINCT d.user_id) FILTER (WHERE d.attempts > 0) AS students
    FROM cohort_page AS p
    INNER JOIN features_topic_daily AS d ON d.user_id = p.user_id
    WHERE p.scope <> 'rest' AND d.date >= CAST(:week_start AS date) - 21 AND d.date <= CAST(:week_start AS date) + 6
    GROUP BY p.scope, p.subject, d.topic_id
    -- A topic of a few students of an organisation would be theirs alone; a teacher knows the class.
    HAVING sum(d.attempts) > 0 AND (p.scope = 'class' OR count(DISTINCT d.user_id) >= :minimum)
) AS f
LEFT JOIN (
    SELECT p.scope, p.subject, t.topic_id, avg(t.ability) AS ability
    FROM cohort_page AS p
    INNER JOIN ability_topic_state AS t ON t.user_id = p.user_id AND t.week_start = :week_start
    GROUP BY p.scope, p.subject, t.topic_id
    HAVING count(*) >= :minimum
) AS a ON a.scope = f.scope AND a.subject = f.subject AND a.topic_id = f.topic_id;

-- name: stage_scale
-- The calibration that the week was scored with; its parameters are on the linked scale. Grain: at most one row.
CREATE TEMP TABLE cohort_scale ON COMMIT DROP AS
SELECT run_id
FROM mirt_fit_meta
WHERE
    is_usable AND model_spec ->> 'scale_origin' <> 'unlinked' AND week_start <= :week_start
    AND (
        model_spec ->> 'filter' IS NULL
        OR NOT EXISTS (SELECT FROM mirt_fit_meta AS o WHERE o.model_spec ->> 'filter' IS NULL)
    )
ORDER BY week_start DESC
LIMIT 1;

-- name: stage_answers
-- The answers of eight weeks to items with parameters, each with the probability of being right that was known a week before:
-- by the ability in the topic at the end of the week before, else by the level then. The parameters are those of the
-- calibration that the week was scored with. Grain: answer.
CREATE TEMP TABLE cohort_answer ON COMMIT DROP AS
WITH answer AS (
    SELECT
        user_id,
        item_id,
        topic_id,
        correct,
        completed_at >= :since AS is_recent,
        date_trunc('week', completed_at AT TIME ZONE :timezone)::date AS week_start
    FROM attempt
    WHERE completed_at >= :curves_since AND completed_at < :as_of AND is_answered
),
known AS (
    SELECT
        a.user_id,
        a.item_id,
        a.topic_id,
        a.correct,
        a.is_recent,
        a.week_start,
        COALESCE(b.c, 0) AS c,
        b.a * (COALESCE(t.ability, l.level) - b.b) AS logit
    FROM answer AS a
    LEFT JOIN cohort_scale AS s ON true
    LEFT JOIN mirt_item_bank AS b ON b.run_id = s.run_id AND b.item_id = a.item_id::text
    LEFT JOIN ability_topic_state AS t
        ON t.user_id = a.user_id AND t.topic_id = a.topic_id AND t.week_start = a.week_start - 7
    LEFT JOIN ability_state AS l ON l.user_id = a.user_id AND l.week_start = a.week_start - 7
)
SELECT
    user_id,
    item_id,
    topic_id,
    correct,
    is_recent,
    week_start,
    -- Bounded, because exp overflows. GREATEST and LEAST pass over NULL, so the case is not for show.
    CASE WHEN logit IS NOT NULL THEN c + (1 - c) / (1 + exp(-GREATEST(-35, LEAST(35, logit)))) END AS expected
FROM known;

-- name: stage_curves
-- Right answers of each week beside what the model expected of the same answers. Grain: page, topic and week.
CREATE TEMP TABLE cohort_curve ON COMMIT DROP AS
SELECT
    p.scope,
    p.subject,
    a.topic_id,
    a.week_start,
    count(*) AS answers,
    count(*) FILTER (WHERE a.correct) AS correct,
    sum(a.expected) AS expected
FROM cohort_page AS p
INNER JOIN cohort_answer AS a ON a.user_id = p.user_id
WHERE p.scope <> 'rest' AND a.topic_id IS NOT NULL AND a.expected IS NOT NULL
GROUP BY p.scope, p.subject, a.topic_id, a.week_start;

-- name: stage_items
-- Items of four weeks of each class, beside what the answers of all students of eight weeks say of the item: infit is the
-- mean square of the residuals, weighted by their variance (Wright & Masters 1982); 1 is as the model says. Its standard
-- error is larger for easy and hard items.
-- Grain: class and item.
CREATE TEMP TABLE cohort_item ON COMMIT DROP AS
WITH fit AS (
    SELECT
        item_id,
        count(expected) AS n_fit,
        sum(power(correct::int - expected, 2)) / NULLIF(sum(expected * (1 - expected)), 0) AS infit,
        -- With v = p (1 - p), the variance of a squared residual is v (1 - 4 v).
        sqrt(sum(expected * (1 - expected) * (1 - 4 * expected * (1 - expected))))
        / NULLIF(sum(expected * (1 - expected)), 0) AS infit_se
    FROM cohort_answer
    GROUP BY item_id
),
met AS (
    SELECT
        p.subject,
        a.item_id,
        min(a.topic_id) AS topic_id,
        count(*) AS answers,
        count(*) FILTER (WHERE a.correct) AS correct,
        count(a.expected) AS n_expected,
        count(*) FILTER (WHERE a.correct AND a.expected IS NOT NULL) AS n_expected_correct,
        sum(a.expected) AS expected,
        sum(a.expected * (1 - a.expected)) AS variance
    FROM cohort_page AS p
    INNER JOIN cohort_answer AS a ON a.user_id = p.user_id
    WHERE p.scope = 'class' AND a.is_recent
    GROUP BY p.subject, a.item_id
),
-- The newest parameters up to the week, with the reason where there are none.
newest AS (
    SELECT DISTINCT ON (h.item_id) h.item_id, h.flag
    FROM mirt_item_params_history AS h
    INNER JOIN mirt_fit_meta AS f ON f.run_id = h.run_id AND f.is_usable
    WHERE h.week_start <= :week_start AND h.item_id IN (SELECT item_id::text FROM met)
    ORDER BY h.item_id, h.week_start DESC
),
bank AS (
    SELECT b.item_id, b.a, b.b FROM cohort_scale AS s INNER JOIN mirt_item_bank AS b ON b.run_id = s.run_id
),
drift AS (
    SELECT DISTINCT ON (item_id)
        item_id, drift_verdict, dif -> 'delta_b' AS change, minimum_detectable_b, power_b, drift_in_topic ->> 'origin' AS origin
    FROM item_calibration
    WHERE week_start <= :week_start AND drift_verdict IS NOT NULL
    ORDER BY item_id, week_start DESC
),
-- The groups that an item differs for are those of the current comparison, because past ones are not kept by item.
dif AS (
    SELECT DISTINCT i.item_id
    FROM mirt_item_params AS i
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE WHEN jsonb_typeof(i.params -> 'dif') = 'array' THEN i.params -> 'dif' ELSE '[]'::jsonb END
    ) AS d
    WHERE d ->> 'class' = 'C'
)
SELECT
    m.subject,
    m.item_id::text AS item_id,
    m.topic_id,
    m.answers,
    m.correct,
    m.n_expected,
    m.n_expected_correct,
    m.expected,
    m.variance,
    f.n_fit,
    f.infit,
    f.infit_se,
    b.a AS discrimination,
    b.b AS difficulty,
    n.flag,
    COALESCE(d.drift_verdict = 'moved', false) AS has_moved,
    COALESCE(d.drift_verdict IN ('moved', 'no_drift'), false) AS is_drift_judged,
    d.change AS drift,
    d.origin AS drift_origin,
    d.minimum_detectable_b AS drift_found_from,
    d.power_b AS drift_power,
    x.item_id IS NOT NULL AS differs_by_group
FROM met AS m
INNER JOIN fit AS f ON f.item_id = m.item_id
LEFT JOIN bank AS b ON b.item_id = m.item_id::text
LEFT JOIN newest AS n ON n.item_id = m.item_id::text
LEFT JOIN drift AS d ON d.item_id = m.item_id
LEFT JOIN dif AS x ON x.item_id = m.item_id::text;
