-- Defines the view attempt.
-- Grain:   one question of an exam that has not failed.
-- Inputs:  attempt_log, which the asset `attempt` keeps in step with exam_results. Params: none.
-- Columns: the 11 of the legacy view with their names, types and order, followed by the platform's own. CREATE OR REPLACE
--          allows added columns only at the end; readers of the legacy view still work.
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
