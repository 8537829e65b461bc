-- The documents of the pages of classes and organisations, from the temporary tables of sql/reports/cohorts.sql.
-- Grain:  page (pages); one row (counts).
-- Inputs: cohort_member, cohort_name, cohort_page, cohort_student, cohort_growth, cohort_topic, cohort_curve, cohort_item.
-- Params: week_start, as_of, timezone, minimum (students that a group needs).

-- name: pages
-- One document for each class and organisation. Grain: page.
WITH page AS (
    SELECT
        'class' AS scope, n.class_id AS subject, n.name, n.grade, n.org_id, n.students, n.students >= :minimum AS is_shown
    FROM cohort_name AS n
    UNION ALL
    SELECT
        'organisation' AS scope, m.org_id AS subject, NULL AS name, NULL AS grade, m.org_id, count(p.user_id) AS students,
        count(p.user_id) > 0 AS is_shown
    FROM cohort_member AS m
    LEFT JOIN cohort_page AS p ON p.scope = 'organisation' AND p.subject = m.org_id AND p.user_id = m.user_id
    WHERE m.org_id IS NOT NULL
    GROUP BY m.org_id
),
summary AS (
    SELECT
        p.scope,
        p.subject,
        count(*) AS students,
        count(*) FILTER (WHERE s.answers > 0) AS active,
        sum(s.answers) AS answers,
        sum(s.correct) AS correct,
        count(*) FILTER (WHERE s.needs_help) AS helped,
        count(*) FILTER (WHERE s.answers = 0 AND s.usual > 0) AS stopped,
        count(*) FILTER (WHERE NOT s.has_report) AS without_report
    FROM cohort_page AS p
    INNER JOIN cohort_student AS s ON s.user_id = p.user_id
    GROUP BY p.scope, p.subject
),
growth AS (
    SELECT
        scope,
        subject,
        jsonb_agg(jsonb_build_object(
            'week_start', week_start, 'students', students, 'gain', gain, 'gain_sd', gain_sd, 'level', level
        ) ORDER BY week_start) AS value
    FROM cohort_growth
    GROUP BY scope, subject
),
student AS (
    SELECT
        p.subject,
        jsonb_agg(jsonb_build_object(
            'user_id', s.user_id, 'name', s.name, 'answers', s.answers, 'usual', s.usual, 'has_report', s.has_report,
            'needs_help', s.needs_help, 'step', s.step, 'days_silent', s.days_silent, 'state', s.state, 'reasons', s.reasons
        ) ORDER BY s.user_id) AS value
    FROM cohort_page AS p
    INNER JOIN cohort_student AS s ON s.user_id = p.user_id
    WHERE p.scope = 'class'
    GROUP BY p.subject
),
topic AS (
    SELECT
        scope,
        subject,
        jsonb_agg(jsonb_build_object(
            'topic_id', topic_id, 'answers_week', COALESCE(answers_week, 0), 'answers', answers, 'correct', correct,
            'students', students, 'ability', ability
        ) ORDER BY answers DESC, topic_id) AS value
    FROM cohort_topic
    GROUP BY scope, subject
),
curve AS (
    SELECT
        scope,
        subject,
        jsonb_agg(jsonb_build_object(
            'topic_id', topic_id, 'week_start', week_start, 'answers', answers, 'correct', correct, 'expected', expected
        ) ORDER BY topic_id, week_start) AS value
    FROM cohort_curve
    GROUP BY scope, subject
),
item AS (
    SELECT subject, jsonb_agg(to_jsonb(i) - 'subject' ORDER BY i.answers DESC, i.item_id) AS value
    FROM cohort_item AS i
    GROUP BY subject
),
-- The classes of an organisation, and its students without a class. Names of small classes stay, without numbers.
part AS (
    SELECT
        n.org_id,
        jsonb_agg(jsonb_build_object(
            'class_id', n.class_id, 'name', n.name, 'grade', n.grade, 'is_shown', n.is_shown,
            'students', s.students, 'active', s.active, 'answers', s.answers, 'correct', s.correct, 'helped', s.helped,
            'stopped', s.stopped, 'without_report', s.without_report, 'growth', COALESCE(g.value, '[]'::jsonb)
        ) ORDER BY n.class_id NULLS LAST) AS value
    FROM (
        SELECT class_id, name, grade, org_id, students >= :minimum AS is_shown FROM cohort_name
        UNION ALL
        SELECT NULL, NULL, NULL, org_id, count(*) >= :minimum FROM cohort_member
        WHERE class_id IS NULL AND org_id IS NOT NULL GROUP BY org_id
    ) AS n
    LEFT JOIN summary AS s
        ON s.scope = CASE WHEN n.class_id IS NULL THEN 'rest' ELSE 'class' END AND s.subject = COALESCE(n.class_id, n.org_id)
    LEFT JOIN growth AS g ON g.scope = s.scope AND g.subject = s.subject
    GROUP BY n.org_id
)
SELECT
    jsonb_build_object(
        'scope', p.scope,
        'subject', p.subject,
        'name', p.name,
        'grade', p.grade,
        'organisation', p.org_id,
        'week_start', CAST(:week_start AS date),
        'time_zone', CAST(:timezone AS text),
        'generated_at', CAST(:as_of AS timestamptz),
        'minimum', CAST(:minimum AS integer),
        'is_shown', p.is_shown,
        'summary', CASE WHEN p.is_shown THEN to_jsonb(s) - 'scope' - 'subject' END,
        'growth', COALESCE(g.value, '[]'::jsonb),
        'students', COALESCE(u.value, '[]'::jsonb),
        'topics', COALESCE(t.value, '[]'::jsonb),
        'curves', COALESCE(c.value, '[]'::jsonb),
        'items', COALESCE(i.value, '[]'::jsonb),
        'classes', COALESCE(o.value, '[]'::jsonb)
    )::text AS document
FROM page AS p
LEFT JOIN summary AS s ON s.scope = p.scope AND s.subject = p.subject
LEFT JOIN growth AS g ON g.scope = p.scope AND g.subject = p.subject
LEFT JOIN student AS u ON p.scope = 'class' AND u.subject = p.subject
LEFT JOIN topic AS t ON t.scope = p.scope AND t.subject = p.subject
LEFT JOIN curve AS c ON c.scope = p.scope AND c.subject = p.subject
LEFT JOIN item AS i ON p.scope = 'class' AND i.subject = p.subject
LEFT JOIN part AS o ON p.scope = 'organisation' AND o.org_id = p.subject
ORDER BY p.scope, p.subject;

-- name: counts
-- How the students of the week are spread over pages. Grain: one row.
SELECT
    (SELECT count(*) FROM cohort_name WHERE students >= :minimum) AS classes,
    (SELECT count(*) FROM cohort_name WHERE students < :minimum) AS small_classes,
    (SELECT count(*) FROM cohort_member WHERE class_id IS NULL) AS without_class,
    (SELECT count(*) FROM cohort_member) AS students,
    (SELECT count(*) FROM cohort_student WHERE answers > 0) AS active,
    (SELECT COALESCE(sum(answers), 0) FROM cohort_student) AS answers,
    (SELECT COALESCE(sum(correct), 0) FROM cohort_student) AS correct,
    (SELECT count(*) FROM cohort_student WHERE needs_help) AS helped,
    (SELECT count(*) FROM cohort_student WHERE NOT has_report) AS without_report;
