-- Answers for ability over time, the hyperparameters of earlier weeks, and what the published states say.
-- Grain:  see each statement.
-- Inputs: attempt, ability_hyperparameters, ability_state, ability_topic_state.
-- Params: see each statement.
-- Scale:  levels and topics are on the platform's linked scale, or, without a calibration, on the model's own.

-- name: answers
-- Every answer before as_of, repeated ones too. Grain: answer. Params: as_of.
CREATE TEMP TABLE ability_answer ON COMMIT DROP AS
SELECT id, user_id, item_id, topic_id, correct, completed_at
FROM attempt
WHERE completed_at < :as_of AND is_answered;

-- name: answer_rows
-- In the order of time. The day is the time since 1970 in days.
SELECT
    user_id,
    item_id,
    topic_id,
    correct::integer AS correct,
    (extract(EPOCH FROM completed_at) / 86400)::float8 AS day
FROM ability_answer
ORDER BY completed_at, id;

-- name: drop_answers
DROP TABLE ability_answer;

-- name: earlier_fit
-- The newest usable hyperparameters of an earlier week on the same kind of scale. Grain: one row or none.
-- Params: week_start, is_calibrated.
SELECT fit_week, hyperparameters, log_likelihood, baseline_log_likelihood, n_answers, n_students, reasons, warnings
FROM ability_hyperparameters
WHERE week_start < :week_start AND is_usable AND is_calibrated = :is_calibrated
ORDER BY week_start DESC
LIMIT 1;

-- name: topic_spread
-- Variance of a student's deviations between topics, of the newest usable hyperparameters. Grain: one row or none.
-- Params: week_start.
SELECT (hyperparameters ->> 'topic_spread')::float8
FROM ability_hyperparameters
WHERE week_start <= :week_start AND is_usable
ORDER BY week_start DESC
LIMIT 1;

-- name: silent
-- Students without a new answer since the week before, on the same calibration: how many, and how many levels have moved
-- by more than the limit. Grain: one row. Params: week_start, week_before, moved_limit.
SELECT
    count(*) AS students,
    count(*) FILTER (WHERE abs(now.level - earlier.level) > :moved_limit) AS moved,
    max(abs(now.level - earlier.level)) AS largest
FROM ability_state AS now
INNER JOIN ability_state AS earlier ON earlier.user_id = now.user_id AND earlier.week_start = :week_before
WHERE
    now.week_start = :week_start AND now.n_answers = earlier.n_answers AND now.run_id IS NOT DISTINCT FROM earlier.run_id;

-- name: ability_rows
-- The states of a week as rows of mirt_ability. Grain: student. Params: week_start, version, model.
CREATE TEMP TABLE state_as_ability ON COMMIT DROP AS
SELECT
    user_id,
    level AS theta,
    se,
    CAST(:model AS text) AS model,
    CAST(:version AS text) AS version,
    fitted_at,
    run_id,
    week_start,
    n_answers,
    answered_at,
    'dynamic' AS method
FROM ability_state
WHERE week_start = :week_start;

-- name: topic_rows
-- The states of a week as rows of student_topic_theta_history. Grain: student and topic. Params: week_start, version, model.
CREATE TEMP TABLE state_as_topic_ability ON COMMIT DROP AS
SELECT
    user_id,
    topic_id,
    week_start,
    ability AS theta,
    se,
    CAST(:model AS text) AS model,
    CAST(:version AS text) AS version,
    fitted_at,
    n_answers,
    answered_at,
    run_id,
    'dynamic' AS method
FROM ability_topic_state
WHERE week_start = :week_start;
