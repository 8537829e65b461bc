-- The covariate that groups students for the analysis of differential item functioning (DIF).
-- Grain:  student with a value. Inputs: attempt, exam_results, session, classroom, enrolment.
-- Params: from_at (NULL: the whole history), as_of, source (org_id, classroom_id, grade or result_json), path (keys within result_json).

-- name: covariate
-- The value of the newest exam in the look-back that has one. Session and classroom rows have no history, so their present
-- values apply to past weeks too. A value that breaks the rule for texts is left out.
-- A session without a classroom is of the class in which a roster has the student on that day: the only one, else the homeroom.
SELECT DISTINCT ON (v.user_id) v.user_id, v.value
FROM (
    SELECT
        a.user_id,
        e.created_at,
        e.id,
        NULLIF(CASE CAST(:source AS text)
            WHEN 'org_id' THEN e.org_id::text
            WHEN 'classroom_id' THEN COALESCE(s.classroom_id, n.classroom_id)
            WHEN 'grade' THEN c.grade::text
            WHEN 'result_json' THEN seedtest_json(e.result_json) #>> CAST(:path AS text[])
        END, '') AS value
    FROM (
        SELECT DISTINCT user_id, exam_result_id FROM attempt
        WHERE completed_at >= COALESCE(CAST(:from_at AS timestamptz), '-infinity') AND completed_at < :as_of
    ) AS a
    INNER JOIN exam_results AS e ON e.id = a.exam_result_id
    LEFT JOIN session AS s ON s.id = e.session_id
    LEFT JOIN LATERAL (
        SELECT CASE
            WHEN count(DISTINCT n.classroom_id) = 1 THEN min(n.classroom_id)
            WHEN count(DISTINCT n.classroom_id) FILTER (WHERE n.is_homeroom) = 1
                THEN min(n.classroom_id) FILTER (WHERE n.is_homeroom)
        END AS classroom_id
        FROM enrolment AS n
        WHERE
            n.user_id = a.user_id
            AND n.role = 'student'
            AND s.classroom_id IS NULL
            AND COALESCE(n.begins_on, '-infinity') <= e.created_at::date
            AND COALESCE(n.ends_on, 'infinity') > e.created_at::date
    ) AS n ON true
    LEFT JOIN classroom AS c ON c.id = COALESCE(s.classroom_id, n.classroom_id)
) AS v
WHERE seedtest_is_plain_text(v.value)
ORDER BY v.user_id, v.created_at DESC, v.id;
