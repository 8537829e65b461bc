-- Weekly series of the cohort, and the weekly values of single students.
-- Grain:  week (kpi, topic), student and week (stage_students). Inputs: weekly_kpi, features_topic_daily.
-- Params: see each statement.

-- name: kpi
-- The mean over students, weighted by the evidence behind each: Σ w x / Σ w. The evidence of the week is Kish's effective
-- number of students: (Σ w)² / Σ w². The error of the mean is the weighted SD of the students over its root. Sums are of
-- numerics: their last bit does not depend on the order of rows.
-- Params: key, weight_key, first_week, last_week.
SELECT
    week_start,
    (sum(value * weight) / sum(weight))::float8 AS value,
    (sum(weight) * sum(weight) / sum(weight * weight))::float8 AS evidence,
    sqrt(
        GREATEST(sum(value * value * weight) / sum(weight) - power(sum(value * weight) / sum(weight), 2), 0)
        * sum(weight * weight) / (sum(weight) * sum(weight))
    )::float8 AS standard_error
FROM (
    SELECT
        week_start,
        (kpis ->> CAST(:key AS text))::numeric AS value,
        COALESCE(NULLIF((kpis ->> CAST(:weight_key AS text))::numeric, 0), 1) AS weight
    FROM weekly_kpi
    WHERE week_start BETWEEN :first_week AND :last_week AND kpis ->> CAST(:key AS text) IS NOT NULL
) AS known
GROUP BY week_start
ORDER BY week_start;

-- name: topic
-- The share right in a topic, with its binomial error (Agresti & Coull 1998: one more right and one more wrong answer, so
-- that it is not 0 where all are right). Params: topic_id, first_week, last_week.
SELECT
    date_trunc('week', date::timestamp)::date AS week_start,
    sum(correct)::float8 / sum(attempts) AS value,
    sum(attempts)::float8 AS evidence,
    sqrt((sum(correct) + 1)::float8 * (sum(attempts) - sum(correct) + 1) / power(sum(attempts) + 2, 3)) AS standard_error
FROM features_topic_daily
WHERE topic_id = :topic_id AND date >= :first_week AND date < CAST(:last_week AS date) + 7
GROUP BY 1
HAVING sum(attempts) > 0
ORDER BY 1;

-- name: stage_students
-- I_t of the students who have a row in the week. Params: first_week, week_start.
CREATE TEMP TABLE student_value ON COMMIT DROP AS
SELECT
    k.user_id,
    (CAST(:week_start AS date) - k.week_start) / 7 AS weeks_ago,
    (k.kpis ->> 'I_t')::float8 AS value,
    COALESCE((k.kpis ->> 'I_t_n_recent')::float8, 1) AS evidence
FROM weekly_kpi AS k
INNER JOIN weekly_kpi AS o ON o.user_id = k.user_id AND o.week_start = :week_start
WHERE k.week_start BETWEEN :first_week AND :week_start;

-- name: student_rows
SELECT user_id, weeks_ago, value, evidence FROM student_value ORDER BY user_id, weeks_ago;
