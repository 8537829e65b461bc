-- Loads what a simulated cohort has beside its attempts: goals, sessions, item parameters, hostile exams, and the truth.
-- Grain:   see each statement. The truth is in the schema simulation, which assets do not read.
-- Inputs:  the files that `seedtest simulate` writes, staged by COPY into tables named staged_*.
-- Params:  name (of the cohort) and prefix (of its ids), config, first_item_id, last_item_id, model, n_classrooms,
--          n_organisations; session_id, user_id, status, result_json and answered_at of one hostile exam.
-- Scale:   discrimination, difficulty_logit and all abilities are on the simulation's own scale. tag_questions copies the
--          true parameters of anchors to question.meta.irt, which puts the platform's linked scale on the same one.

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS simulation;

-- name: create_cohort
CREATE TABLE IF NOT EXISTS simulation.cohort (
    name text PRIMARY KEY,
    config jsonb NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now()
);

-- name: create_item
CREATE TABLE IF NOT EXISTS simulation.item (
    item_id bigint PRIMARY KEY,
    topic_id text NOT NULL,
    discrimination double precision NOT NULL,
    difficulty_logit double precision NOT NULL,
    guessing double precision NOT NULL,
    is_anchor boolean NOT NULL
);

-- name: create_student
CREATE TABLE IF NOT EXISTS simulation.student (
    user_id text PRIMARY KEY,
    intercept_logit double precision NOT NULL,
    slope_logit double precision NOT NULL,
    engagement double precision NOT NULL,
    start_week date,
    first_stopped_week date,
    returns integer NOT NULL
);

-- name: create_student_topic
CREATE TABLE IF NOT EXISTS simulation.student_topic (
    user_id text NOT NULL,
    topic_id text NOT NULL,
    deviation_logit double precision NOT NULL,
    PRIMARY KEY (user_id, topic_id)
);

-- name: create_student_week
CREATE TABLE IF NOT EXISTS simulation.student_week (
    user_id text NOT NULL,
    week_start date NOT NULL,
    theta_logit double precision NOT NULL,
    state text NOT NULL,
    stop_hazard double precision NOT NULL,
    sessions integer NOT NULL,
    PRIMARY KEY (user_id, week_start)
);

-- name: is_loaded
SELECT count(*) FROM simulation.cohort WHERE name = :name AND config = CAST(:config AS jsonb);

-- name: forget_exams
DELETE FROM exam_results WHERE starts_with(session_id, :prefix);

-- name: forget_sessions
DELETE FROM session WHERE starts_with(id, :prefix);

-- name: forget_classrooms
DELETE FROM classroom WHERE starts_with(id, :prefix);

-- name: forget_goals
DELETE FROM interest_goal WHERE starts_with(user_id, :prefix);

-- name: forget_questions
DELETE FROM question WHERE id BETWEEN :first_item_id AND :last_item_id;

-- name: forget_items
DELETE FROM simulation.item WHERE item_id BETWEEN :first_item_id AND :last_item_id;

-- name: forget_students
DELETE FROM simulation.student WHERE starts_with(user_id, :prefix);

-- name: forget_student_topics
DELETE FROM simulation.student_topic WHERE starts_with(user_id, :prefix);

-- name: forget_student_weeks
DELETE FROM simulation.student_week WHERE starts_with(user_id, :prefix);

-- name: forget_cohort
DELETE FROM simulation.cohort WHERE name = :name;

-- name: tag_questions
-- Anchors get their true parameters, as in a calibrated item bank. Questions that already have a meta stay unchanged.
UPDATE question AS q
SET
    meta = CASE
        WHEN i.is_anchor THEN jsonb_build_object(
            'irt', jsonb_build_object(
                'a', i.discrimination, 'b', i.difficulty_logit, 'c', i.guessing, 'model', CAST(:model AS text), 'version', 'truth'
            ),
            'tags', jsonb_build_array('simulated', 'anchor')
        )
        ELSE jsonb_build_object('tags', jsonb_build_array('simulated'))
    END,
    updated_at = now()
FROM simulation.item AS i
WHERE
    i.item_id = q.id
    AND q.id BETWEEN :first_item_id AND :last_item_id
    AND seedtest_question_meta(q.meta) = '{}';

-- name: insert_classrooms
-- Classroom k belongs to organisation 1 + k modulo n_organisations.
INSERT INTO classroom (id, org_id, name, grade)
SELECT
    CAST(:prefix AS text) || 'class-' || k,
    (1 + k % CAST(:n_organisations AS integer))::text,
    CAST(:prefix AS text) || 'class ' || k,
    7 + k % 6
FROM generate_series(0, CAST(:n_classrooms AS integer) - 1) AS k
ON CONFLICT DO NOTHING;

-- name: group_sessions
-- Student number n is in classroom n modulo n_classrooms.
UPDATE session AS s
SET classroom_id = c.id, org_id = c.org_id::integer
FROM classroom AS c
WHERE
    s.classroom_id IS NULL
    AND c.id = CASE WHEN s.user_id ~ ('^' || CAST(:prefix AS text) || '[0-9]+$')
        THEN CAST(:prefix AS text) || 'class-'
            || substr(s.user_id, length(CAST(:prefix AS text)) + 1)::bigint % CAST(:n_classrooms AS integer)
    END;

-- name: group_exams
UPDATE exam_results AS e
SET org_id = s.org_id
FROM session AS s
WHERE s.id = e.session_id AND starts_with(e.session_id, :prefix) AND e.org_id IS NULL;

-- name: insert_hostile_exam
INSERT INTO exam_results (session_id, user_id, status, result_json, created_at, updated_at)
VALUES (:session_id, :user_id, :status, CAST(:result_json AS jsonb), :answered_at, :answered_at)
ON CONFLICT (session_id) DO NOTHING;

-- name: record_cohort
INSERT INTO simulation.cohort (name, config) VALUES (:name, CAST(:config AS jsonb))
ON CONFLICT (name) DO NOTHING;
