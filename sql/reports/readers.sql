-- What the readers of a week's reports need besides the data: their language, and names of topics.
-- Grain:  see each statement.
-- Inputs: topic_name, weekly_kpi; users (of the web application, where it exists).
-- Params: week_start, default_language.

-- name: has_language
-- Whether there is a table users with the columns id and language. Grain: one row.
SELECT count(*) = 2 AS has_language
FROM pg_attribute
WHERE attrelid = to_regclass('users') AND attname IN ('id', 'language') AND NOT attisdropped;

-- name: languages
-- Readers whose language is not the default. Grain: student. Params: week_start, default_language.
SELECT u.id::text AS user_id, u.language::text AS language
FROM users AS u
INNER JOIN weekly_kpi AS k ON k.user_id = u.id::text AND k.week_start = :week_start
WHERE u.language IS NOT NULL AND lower(u.language::text) <> :default_language;

-- name: topics
-- Names of topics. Grain: topic and language.
SELECT language, topic_id, name FROM topic_name;
