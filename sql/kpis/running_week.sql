-- Narrows the population to the students whose row of the running week lacks a KPI, and widens it again.
-- Grain:  student. Inputs: population, weekly_kpi. Params: week_start, key, reason_key (the KPI is null for a reason).

-- name: set_aside
ALTER TABLE population RENAME TO whole_population;

-- name: incomplete
CREATE TEMP TABLE population ON COMMIT DROP AS
SELECT w.*
FROM whole_population AS w
LEFT JOIN weekly_kpi AS k ON k.user_id = w.user_id AND k.week_start = :week_start
WHERE k.kpis ->> CAST(:key AS text) IS NULL AND k.kpis ->> CAST(:reason_key AS text) IS NULL;

-- name: put_back
ALTER TABLE whole_population RENAME TO population;
