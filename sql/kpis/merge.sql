-- Merges the keys of one or more assets into weekly_kpi, each row once; keys of other assets stay.
-- Grain:  student and week. Inputs: staged_row (user_id, kpis, owned), staged_kpi (user_id, kpis), weekly_kpi,
--         row_quarantine.
-- Params: week_start, owned (keys of an asset), required (the six keys with null); key and reason_key (of the asset's
--         summary).

-- name: remove_gone
DELETE FROM weekly_kpi AS t
WHERE t.week_start = :week_start AND NOT EXISTS (SELECT FROM staged_row AS s WHERE s.user_id = t.user_id);

-- name: count
-- What the merge is about to do to the keys of one asset.
SELECT
    count(*) AS staged,
    count(*) FILTER (WHERE t.user_id IS NULL) AS inserted,
    count(*) FILTER (WHERE t.user_id IS NOT NULL AND EXISTS (
        SELECT FROM unnest(CAST(:owned AS text[])) AS k (key)
        WHERE t.kpis -> k.key IS DISTINCT FROM s.kpis -> k.key
    )) AS updated
FROM staged_row AS s
LEFT JOIN weekly_kpi AS t ON t.user_id = s.user_id AND t.week_start = :week_start
WHERE s.owned @> CAST(:owned AS text[]);

-- name: update
-- Compares before it locks: a row that stays as it is costs no write.
UPDATE weekly_kpi AS t
SET kpis = CAST(:required AS jsonb) || (t.kpis - s.owned) || s.kpis, updated_at = now()
FROM staged_row AS s
WHERE
    t.week_start = :week_start AND t.user_id = s.user_id
    AND t.kpis IS DISTINCT FROM CAST(:required AS jsonb) || (t.kpis - s.owned) || s.kpis;

-- name: insert
INSERT INTO weekly_kpi (user_id, week_start, kpis, created_at, updated_at)
SELECT s.user_id, :week_start, CAST(:required AS jsonb) || s.kpis, now(), now()
FROM staged_row AS s
WHERE NOT EXISTS (SELECT FROM weekly_kpi AS t WHERE t.user_id = s.user_id AND t.week_start = :week_start);

-- name: withhold
-- Instead of the rows that this transaction has set aside: no number, with the reason.
-- Params: asset, week_start (text), kpis.
INSERT INTO staged_kpi (user_id, kpis)
SELECT q.element ->> 'user_id', CAST(:kpis AS jsonb)
FROM row_quarantine AS q
WHERE q.asset = :asset AND q.element ->> 'week_start' = :week_start AND q.detected_at = now();

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
