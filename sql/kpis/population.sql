-- Stages who gets a row in weekly_kpi: students with an attempt in the days before the as-of instant.
-- Grain:  student. Inputs: attempt. Params: since, as_of.
CREATE TEMP TABLE population ON COMMIT DROP AS
SELECT DISTINCT user_id FROM attempt WHERE completed_at >= :since AND completed_at < :as_of;
