-- Merges one asset's keys into weekly_kpi; keys of other assets stay.
-- Grain:  student and week. Inputs: staged_kpi (user_id, kpis), weekly_kpi.
-- Params: week_start, owned (keys of the asset), required (the six keys with null), foreign (required keys not owned);
--         key and reason_key (of the asset's summary).

-- name: remove_gone
DELETE FROM weekly_kpi AS t
WHERE t.week_start = :week_start AND NOT EXISTS (SELECT FROM staged_kpi AS s WHERE s.user_id = t.user_id);

-- name: merge
WITH written AS (
    INSERT INTO weekly_kpi AS t (user_id, week_start, kpis, created_at, updated_at)
    SELECT user_id, :week_start, CAST(:required AS jsonb) || kpis, now(), now() FROM staged_kpi
    ON CONFLICT (user_id, week_start) DO UPDATE
    SET kpis = CAST(:required AS jsonb) || (t.kpis - CAST(:owned AS text[])) || (excluded.kpis - CAST(:foreign AS text[])),
        updated_at = now()
    WHERE t.kpis IS DISTINCT FROM
        CAST(:required AS jsonb) || (t.kpis - CAST(:owned AS text[])) || (excluded.kpis - CAST(:foreign AS text[]))
    RETURNING (xmax = 0) AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written;

-- name: unknown_keys
SELECT DISTINCT k.key
FROM staged_kpi AS s CROSS JOIN LATERAL jsonb_object_keys(s.kpis) AS k (key)
WHERE k.key <> ALL(CAST(:owned AS text[]))
ORDER BY k.key;

-- name: summary
SELECT
    count(*) AS students,
    count(kpis ->> CAST(:key AS text)) AS with_a_number,
    min((kpis ->> CAST(:key AS text))::float8) AS minimum,
    percentile_cont(0.25) WITHIN GROUP (ORDER BY (kpis ->> CAST(:key AS text))::float8) AS quarter,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY (kpis ->> CAST(:key AS text))::float8) AS median,
    percentile_cont(0.75) WITHIN GROUP (ORDER BY (kpis ->> CAST(:key AS text))::float8) AS three_quarters,
    max((kpis ->> CAST(:key AS text))::float8) AS maximum
FROM weekly_kpi
WHERE week_start = :week_start;

-- name: reasons
SELECT COALESCE(kpis ->> CAST(:reason_key AS text), 'a number is given') AS reason, count(*) AS students
FROM weekly_kpi
WHERE week_start = :week_start
GROUP BY 1
ORDER BY 2 DESC;

-- name: values
-- For a plot: a sample of at most 50,000 students that is the same every time.
SELECT (kpis ->> CAST(:key AS text))::float8 AS value FROM weekly_kpi
WHERE week_start = :week_start AND kpis ->> CAST(:key AS text) IS NOT NULL
ORDER BY md5(user_id)
LIMIT 50000;
