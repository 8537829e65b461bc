-- The queries of the sensor on exam_results.
-- Grain:  see each statement. Inputs: exam_results, attempt_sync, attempt_touched_day.
-- Params: since (the cursor); last_id, first_day, last_day.

-- name: newest_exam
-- Exam results changed since the cursor whose present version is not in the attempt log. The cursor never moves beyond now:
-- one row dated in the future would hide everything stored until then. Grain: one row.
SELECT
    count(*) AS exams,
    LEAST(max(e.updated_at), now()) AS newest_at,
    max(e.updated_at)::text AS newest_text
FROM exam_results AS e
LEFT JOIN attempt_sync AS s ON s.exam_result_id = e.id
WHERE e.updated_at >= :since AND (s.exam_result_id IS NULL OR s.source_version <> e.xmin::text);

-- name: touched_days
-- Days whose attempts changed after the cursor. Grain: day.
SELECT day, max(id) AS last_id, sum(attempts) AS attempts
FROM attempt_touched_day
WHERE id > :last_id AND day >= :first_day AND day <= :last_day
GROUP BY day
ORDER BY day;

-- name: last_touched_id
SELECT COALESCE(max(id), 0) FROM attempt_touched_day;
