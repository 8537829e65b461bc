-- Answers and weekly counts of students for the Bayesian growth model.
-- Grain:  see each statement. Inputs: attempt.
-- Params: from_at, as_of (half open), first_monday (of the look-back), timezone.
-- A week's number is its calendar distance from first_monday, so weeks without an answer leave a gap.

-- name: answers
-- First answers only: a remembered item would look like ability. Grain: student and item.
CREATE TEMP TABLE growth_answer ON COMMIT DROP AS
SELECT
    user_id,
    item_id,
    correct,
    ((completed_at AT TIME ZONE :timezone)::date - CAST(:first_monday AS date)) / 7 AS week
FROM attempt
WHERE completed_at >= :from_at AND completed_at < :as_of AND is_answered AND answer_no = 1;

-- name: students_of_answers
-- One record for each answer (week, item, correct). Records without ids, sent in blocks, are much smaller than rows.
-- Grain: student.
CREATE TEMP TABLE growth_student ON COMMIT DROP AS
SELECT
    user_id,
    count(*) AS n_records,
    string_agg(int4send(week) || int8send(item_id) || int4send(correct::integer), '' ORDER BY week, item_id) AS records,
    row_number() OVER (ORDER BY user_id) AS number
FROM growth_answer
GROUP BY user_id;

-- name: students
SELECT user_id, n_records FROM growth_student ORDER BY number;

-- name: records
-- Grain: block of 1,000 students.
SELECT string_agg(records, '' ORDER BY number) AS records
FROM growth_student
GROUP BY number / 1000
ORDER BY number / 1000;

-- name: items
-- How often each item was answered: a target ability is translated into the share right expected on these items.
-- Grain: item.
SELECT item_id, count(*) AS answers FROM growth_answer GROUP BY item_id ORDER BY item_id;

-- name: counts
-- Every answer counts. Grain: student and week.
CREATE TEMP TABLE growth_count ON COMMIT DROP AS
SELECT
    user_id,
    ((completed_at AT TIME ZONE :timezone)::date - CAST(:first_monday AS date)) / 7 AS week,
    count(*) AS answered,
    count(*) FILTER (WHERE correct) AS right_answers
FROM attempt
WHERE completed_at >= :from_at AND completed_at < :as_of AND is_answered
GROUP BY 1, 2;

-- name: students_of_counts
-- One record for each week (week, answered, right). Grain: student.
CREATE TEMP TABLE growth_student ON COMMIT DROP AS
SELECT
    user_id,
    count(*) AS n_records,
    string_agg(
        int4send(week) || int4send(answered::integer) || int4send(right_answers::integer), '' ORDER BY week
    ) AS records,
    row_number() OVER (ORDER BY user_id) AS number
FROM growth_count
GROUP BY user_id;
