-- Stages the students who get a row in weekly_kpi: those with an attempt since the given instant.
-- Grain:  student. Inputs: attempt. Params: since, as_of (half open).
CREATE TEMP TABLE population ON COMMIT DROP AS
SELECT DISTINCT user_id FROM attempt WHERE completed_at >= :since AND completed_at < :as_of;
