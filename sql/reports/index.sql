-- The pages of a week that are stored, for the list of the week.
-- Grain:  student (students); class, organisation or platform (cohorts).
-- Inputs: report_artifacts, report_pages, cohort_report, student_name.
-- Params: week_start.

-- name: students
SELECT
    COALESCE(min(n.name), r.user_id) AS student,
    bool_or(r.needs_help) AS needs_help,
    min(r.advice -> 0 ->> 'rule') AS rule,
    min(r.advice -> 0 -> 'values' ->> 'topic') AS topic_id,
    jsonb_agg(jsonb_build_array(r.kind, r.url) ORDER BY array_position(ARRAY['family', 'pdf', 'teacher'], r.kind)) AS links
FROM (
    SELECT user_id, needs_help, advice, CASE format WHEN 'html' THEN 'family' ELSE format END AS kind, url
    FROM report_artifacts
    WHERE week_start = :week_start
    UNION ALL
    SELECT subject AS user_id, NULL AS needs_help, NULL AS advice, page AS kind, url
    FROM report_pages
    WHERE week_start = :week_start AND page = 'teacher'
) AS r
LEFT JOIN student_name AS n ON n.user_id = r.user_id
GROUP BY r.user_id
ORDER BY student, r.user_id;

-- name: cohorts
SELECT
    r.scope,
    COALESCE(min(r.name), r.subject) AS name,
    min(r.students) AS students,
    jsonb_agg(jsonb_build_array(r.format, r.url) ORDER BY r.format) AS links
FROM cohort_report AS r
WHERE r.week_start = :week_start
GROUP BY r.scope, r.subject
ORDER BY array_position(ARRAY['platform', 'organisation', 'class'], r.scope), name;
