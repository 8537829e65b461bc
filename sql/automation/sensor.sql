-- What the sensor on exam_results asks.

-- name: newest_exam
-- Exam results changed at or after :since whose present version the attempt log does not hold. A time in the future
-- moves the cursor no further than to now: everything stored until then would be overlooked.
SELECT
    count(*) AS exams,
    LEAST(max(e.updated_at), now()) AS newest_at,
    max(e.updated_at)::text AS newest_text
FROM exam_results AS e
LEFT JOIN attempt_sync AS s ON s.exam_result_id = e.id
WHERE e.updated_at >= :since AND (s.exam_result_id IS NULL OR s.source_version <> e.xmin::text);

-- name: touched_days
-- Days whose attempts changed after the cursor.
SELECT day, max(id) AS last_id, sum(attempts) AS attempts
FROM attempt_touched_day
WHERE id > :last_id AND day >= :first_day AND day <= :last_day
GROUP BY day
ORDER BY day;

-- name: last_touched_id
SELECT COALESCE(max(id), 0) FROM attempt_touched_day;
