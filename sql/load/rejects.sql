-- Replaces the rejected rows of the loaded files: load_rejects contains the problems of each file's last load.
-- Grain:   one problem of one row of a file.
-- Inputs:  load_reject (see stage.sql).
-- Params:  file_names.

-- name: forget_corrected
DELETE FROM load_rejects AS t
WHERE
    t.file_name = ANY(:file_names)
    AND NOT EXISTS (
        SELECT FROM load_reject AS s
        WHERE s.file_name = t.file_name AND s.row_number = t.row_number AND s.reason = t.reason
    );

-- name: upsert
INSERT INTO load_rejects AS t (file_name, row_number, reason, raw_row, is_excluded)
SELECT file_name, row_number, reason, raw_row, is_excluded
FROM load_reject
ORDER BY file_name, row_number, reason
ON CONFLICT (file_name, row_number, reason) DO UPDATE
SET raw_row = excluded.raw_row, is_excluded = excluded.is_excluded, rejected_at = now()
WHERE (t.raw_row, t.is_excluded) IS DISTINCT FROM (excluded.raw_row, excluded.is_excluded);
