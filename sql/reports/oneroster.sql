-- The weekly KPIs of students as results of their classes.
-- Grain:  student and week. Inputs: weekly_kpi, enrolment, classroom.
-- Params: first_week, last_week (NULL: no limit).

-- name: results
-- The class of a week is the student's homeroom, else the first by its id; NULL without a class.
SELECT k.user_id, k.week_start, k.kpis, n.classroom_id, n.org_id, n.user_source_id
FROM weekly_kpi AS k
LEFT JOIN LATERAL (
    SELECT e.classroom_id, c.org_id, e.user_source_id
    FROM enrolment AS e
    INNER JOIN classroom AS c ON c.id = e.classroom_id
    WHERE
        e.user_id = k.user_id
        AND e.role = 'student'
        AND COALESCE(e.begins_on, '-infinity') < k.week_start + 7
        AND COALESCE(e.ends_on, 'infinity') > k.week_start
    ORDER BY e.is_homeroom DESC, e.classroom_id
    LIMIT 1
) AS n ON true
WHERE
    k.week_start >= COALESCE(CAST(:first_week AS date), '-infinity')
    AND k.week_start <= COALESCE(CAST(:last_week AS date), 'infinity')
ORDER BY k.week_start, k.user_id;
