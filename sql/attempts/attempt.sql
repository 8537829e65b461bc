-- View attempt
-- Grain:   one question of an exam that is not failed.
-- Inputs:  attempt_log (kept in step with exam_results by the asset `attempt`).
-- Columns: the legacy view's 11 with its names, types and order; then the platform's own.
-- CREATE OR REPLACE may add columns behind the old ones, so whatever reads the legacy view goes on reading.
CREATE OR REPLACE VIEW attempt AS
SELECT
    id,
    student_id,
    item_id,
    correct,
    response_time_ms,
    hint_used,
    completed_at,
    started_at,
    attempt_no,
    session_id,
    topic_id,
    user_id,
    exam_result_id,
    question_ordinal,
    exam_id,
    org_id,
    is_answered,
    answer_no,
    recorded_time_ms,
    hints_used,
    occurrence_no
FROM attempt_log;
