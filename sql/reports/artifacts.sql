-- Rows of report_artifacts, report_pages and cohort_report beside the objects of the store.
-- Grain:  a student's report (of_week, of_student); all rows and all objects (orphans, examples).
-- Inputs: report_artifacts, report_pages, cohort_report, and for orphans and examples the temporary table listed_object with the store's objects.
-- Params: week_start, format, verified (ids of students, as an array), shard, shards, user_id; most (of the examples).

-- name: of_week
SELECT user_id, sha256
FROM report_artifacts
WHERE
    week_start = :week_start AND format = :format AND user_id <> ALL(CAST(:verified AS text[]))
    AND (CAST(:shards AS bigint) = 1 OR mod(hashtextextended(user_id, 20251103) & 2147483647, :shards) = :shard)
ORDER BY user_id;

-- name: of_student
SELECT sha256
FROM report_artifacts
WHERE user_id = :user_id AND week_start = :week_start AND format = :format;

-- name: orphans
SELECT
    count(*) FILTER (WHERE r.url IS NOT NULL) AS rows,
    count(*) FILTER (WHERE o.url IS NOT NULL) AS objects,
    count(*) FILTER (WHERE o.url IS NULL) AS rows_without_object,
    count(*) FILTER (WHERE r.url IS NULL) AS objects_without_row,
    count(*) FILTER (WHERE r.size_bytes <> o.size_bytes) AS other_size
FROM (
    SELECT url, size_bytes FROM report_artifacts
    UNION ALL
    SELECT url, size_bytes FROM report_pages WHERE page <> 'index'
    UNION ALL
    SELECT url, size_bytes FROM cohort_report
) AS r
FULL JOIN listed_object AS o ON o.url = r.url;

-- name: examples
SELECT
    CASE
        WHEN o.url IS NULL THEN 'row without object'
        WHEN r.url IS NULL THEN 'object without row'
        ELSE 'another size'
    END AS kind,
    COALESCE(r.url, o.url) AS url
FROM (
    SELECT url, size_bytes FROM report_artifacts
    UNION ALL
    SELECT url, size_bytes FROM report_pages WHERE page <> 'index'
    UNION ALL
    SELECT url, size_bytes FROM cohort_report
) AS r
FULL JOIN listed_object AS o ON o.url = r.url
WHERE r.url IS NULL OR o.url IS NULL OR r.size_bytes <> o.size_bytes
ORDER BY kind, url
LIMIT :most;
