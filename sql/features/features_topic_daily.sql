-- Stages features_topic_daily for a range of days in one statement.
-- Grain:  student, topic and day (in the platform's time zone) with at least one attempt.
-- Inputs: attempt, student_topic_theta_history, mirt_ability.
-- Params: history_from (28 days before the first day), from_at, to_at (instants of the range, half open), timezone,
--         include_theta.
-- Improvement is I_t by accuracy within the topic: the 14 days up to and including the day against the 14 days before.
-- Abilities are of the last week that is closed at the end of the day, so a later backfill gives the same rows. They are on
-- the platform's linked scale; item parameters are not used here.
CREATE TEMP TABLE staged_features ON COMMIT DROP AS
WITH answered AS (
    SELECT
        user_id,
        t.topic_id,
        (completed_at AT TIME ZONE :timezone)::date AS date,
        count(*) FILTER (WHERE is_answered) AS n,
        count(*) FILTER (WHERE is_answered AND correct) AS n_right
    FROM attempt AS a
    CROSS JOIN LATERAL unnest(a.topic_ids) AS t (topic_id)
    WHERE completed_at >= :history_from AND completed_at < :to_at
    GROUP BY user_id, t.topic_id, (completed_at AT TIME ZONE :timezone)::date
),
windowed AS (
    SELECT
        user_id,
        topic_id,
        date,
        sum(n) OVER recent AS n_recent,
        sum(n_right) OVER recent AS right_recent,
        sum(n) OVER previous AS n_previous,
        sum(n_right) OVER previous AS right_previous
    FROM answered
    WINDOW
        recent AS (
            PARTITION BY user_id, topic_id ORDER BY date
            RANGE BETWEEN INTERVAL '13 days' PRECEDING AND CURRENT ROW
        ),
        previous AS (
            PARTITION BY user_id, topic_id ORDER BY date
            RANGE BETWEEN INTERVAL '27 days' PRECEDING AND INTERVAL '14 days' PRECEDING
        )
),
improvement AS (
    SELECT
        user_id,
        topic_id,
        date,
        GREATEST(-1, LEAST(1,
            (p_recent - p_previous)
            * LEAST(1, n_recent / 30.0)
            * (1 - LEAST(0.5, 1.96 * sqrt(p_recent * (1 - p_recent) / n_recent)))
        )) AS improvement
    FROM (
        SELECT
            user_id,
            topic_id,
            date,
            n_recent,
            right_recent::float8 / n_recent AS p_recent,
            right_previous::float8 / n_previous AS p_previous
        FROM windowed
        WHERE n_recent > 0 AND n_previous > 0
    ) AS shares
),
daily AS (
    SELECT
        user_id,
        t.topic_id,
        (completed_at AT TIME ZONE :timezone)::date AS date,
        count(*) FILTER (WHERE is_answered)::integer AS attempts,
        count(*) FILTER (WHERE is_answered AND correct)::integer AS correct,
        round(avg(recorded_time_ms) FILTER (WHERE is_answered))::integer AS avg_time_ms,
        round(percentile_cont(0.5) WITHIN GROUP (ORDER BY recorded_time_ms) FILTER (WHERE is_answered))::integer AS rt_median,
        count(*) FILTER (WHERE hint_used)::integer AS hints,
        max(completed_at) AS last_seen_at,
        count(*) FILTER (WHERE is_answered AND t.topic_id = a.topic_id)::integer AS attempts_once,
        count(*) FILTER (WHERE is_answered AND correct AND t.topic_id = a.topic_id)::integer AS correct_once,
        count(*) FILTER (WHERE hint_used AND t.topic_id = a.topic_id)::integer AS hints_once
    FROM attempt AS a
    CROSS JOIN LATERAL unnest(a.topic_ids) AS t (topic_id)
    WHERE completed_at >= :from_at AND completed_at < :to_at
    GROUP BY user_id, t.topic_id, (completed_at AT TIME ZONE :timezone)::date
)
SELECT
    d.user_id,
    d.topic_id,
    d.date,
    d.attempts,
    d.correct,
    d.avg_time_ms,
    COALESCE(t.theta, a.theta)::numeric(6, 3) AS theta_estimate,
    d.last_seen_at,
    now() AS computed_at,
    d.hints,
    CASE WHEN t.theta IS NULL THEN a.se ELSE t.se END::numeric(6, 3) AS theta_sd,
    d.rt_median,
    i.improvement::numeric(6, 3) AS improvement,
    COALESCE(t.theta, a.theta)::numeric(6, 3) AS theta_mean,
    d.attempts_once,
    d.correct_once,
    d.hints_once,
    CASE WHEN t.theta IS NULL THEN a.method ELSE t.method END AS theta_method,
    CASE WHEN t.theta IS NULL THEN a.answered_at ELSE t.answered_at END AS theta_answered_at
FROM daily AS d
LEFT JOIN improvement AS i ON i.user_id = d.user_id AND i.topic_id = d.topic_id AND i.date = d.date
LEFT JOIN LATERAL (
    SELECT h.theta, h.se, h.method, h.answered_at
    FROM student_topic_theta_history AS h
    WHERE :include_theta AND h.user_id = d.user_id AND h.topic_id = d.topic_id AND h.week_start <= d.date - 6
    ORDER BY h.week_start DESC
    LIMIT 1
) AS t ON true
LEFT JOIN LATERAL (
    SELECT m.theta, m.se, m.method, m.answered_at
    FROM mirt_ability AS m
    WHERE :include_theta AND m.user_id = d.user_id AND m.week_start <= d.date - 6
    ORDER BY m.fitted_at DESC, m.week_start DESC
    LIMIT 1
) AS a ON true;
