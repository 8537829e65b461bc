-- Stages attempt logs.
-- Grain:   one accepted row of a log (load_attempt); one problem of a rejected row (load_reject).
-- Inputs:  COPY from the reader.
-- Params:  now (survey).
-- Life:    temporary tables of one transaction: a killed load leaves nothing behind.
-- Buckets: a hash of the user spreads the rows over partitions, which the loader creates. One statement's sort stays small
--          and every partition is read once.

-- name: create_attempt
CREATE TEMP TABLE load_attempt (
    bucket integer NOT NULL,
    user_id text NOT NULL,
    session_id text,
    item_id bigint NOT NULL,
    topic text,
    is_correct boolean,
    time_spent_sec double precision,
    used_hints integer,
    answered_at timestamptz NOT NULL,
    rescored_at timestamptz
) PARTITION BY LIST (bucket) ON COMMIT DROP;

-- name: create_reject
CREATE TEMP TABLE load_reject (
    file_name text NOT NULL,
    row_number bigint NOT NULL,
    reason text NOT NULL,
    raw_row jsonb NOT NULL,
    is_excluded boolean NOT NULL
) ON COMMIT DROP;

-- name: create_row
-- The rows of one bucket with the key of their exam (NULL: derive the session) and their final time, and the stored attempts
-- beside them, one row for each topic. stored_in is the exam of a stored attempt.
CREATE TEMP TABLE load_row (
    user_id text NOT NULL,
    exam_session_id text,
    item_id bigint NOT NULL,
    topic text,
    is_correct boolean,
    time_spent_sec double precision,
    used_hints integer,
    answered_at timestamptz NOT NULL,
    rescored_at timestamptz,
    logged_at timestamptz NOT NULL,
    stored_in text
) ON COMMIT DROP;

-- name: create_stored
-- The stored exams that a bucket may change.
CREATE TEMP TABLE load_stored (
    exam_session_id text NOT NULL,
    user_id text NOT NULL,
    is_derived boolean NOT NULL,
    n_elements bigint NOT NULL
) ON COMMIT DROP;

-- name: create_bucket
-- The attempts of one bucket, each once. is_new: the log gives its answer. n_new: its rows in the log (see count_bucket).
-- n_stored: the exams in which it is stored.
CREATE TEMP TABLE load_bucket (
    user_id text NOT NULL,
    exam_session_id text,
    is_derived boolean NOT NULL,
    item_id bigint NOT NULL,
    topics text[] NOT NULL,
    is_correct boolean,
    time_spent_sec double precision,
    used_hints integer,
    answered_at timestamptz NOT NULL,
    rescored_at timestamptz,
    logged_at timestamptz NOT NULL,
    stored_in text,
    n_stored bigint NOT NULL,
    is_new boolean NOT NULL,
    n_new bigint NOT NULL,
    n_distinct bigint NOT NULL,
    n_answers bigint NOT NULL
) ON COMMIT DROP;

-- name: survey
-- A summary of the staged rows; last_known_at is the newest attempt that is not in the future of the load. Grain: one row.
SELECT
    count(*) AS attempts,
    count(*) FILTER (WHERE is_correct IS NULL) AS unanswered,
    count(*) FILTER (WHERE session_id IS NULL) AS without_session,
    min(answered_at) AS first_at,
    max(answered_at) AS last_at,
    max(answered_at) FILTER (WHERE answered_at < :now + INTERVAL '1 day') AS last_known_at
FROM load_attempt;
