-- Functions that read the JSON columns of source tables: the only parser of each column.
-- Grain:   one value. Inputs: exam_results.result_json, question.meta. Params: none.
-- Shapes:  a driver may store null, a text with JSON inside, an empty array for an empty object, or an array without its
--          object. A text is decoded once. A function returns what it understood; what it did not understand is
--          recognisable, never lost.

-- name: seedtest_json
-- The value; a text that contains JSON becomes that JSON. A text that does not stays a text.
CREATE OR REPLACE FUNCTION seedtest_json(value jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF jsonb_typeof(value) = 'string' THEN
        RETURN (value #>> '{}')::jsonb;
    END IF;
    RETURN value;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN value;
END
$$;

-- name: seedtest_exam_questions
-- The array of questions of an exam; NULL or JSON null if it has none; any other value is one that was not understood.
-- An object without the key has none if it is empty or has only other keys of the contract, such as a score alone. With a
-- key that nobody knows, the questions may be there, so the object as a whole was not understood.
CREATE OR REPLACE FUNCTION seedtest_exam_questions(result_json jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    result jsonb := result_json;
BEGIN
    IF jsonb_typeof(result) = 'string' THEN
        result := seedtest_json(result);
    END IF;
    IF jsonb_typeof(result) <> 'object' THEN
        RETURN result;
    END IF;
    IF NOT result ? 'questions' THEN
        result := result - ARRAY[
            'score', 'topics', 'summary', 'recommendations', 'metadata', 'ability_estimate', 'standard_error', 'percentile'
        ];
        RETURN NULLIF(result, '{}');
    END IF;
    result := result -> 'questions';
    RETURN CASE WHEN jsonb_typeof(result) = 'string' THEN seedtest_json(result) ELSE result END;
END
$$;

-- name: seedtest_topics
-- The topics of a question as sorted texts, from its keys topic (a text, a number or an array of them) and topics (such an
-- array). NULL if it has none; {NULL} if a value is something else.
CREATE OR REPLACE FUNCTION seedtest_topics(topic jsonb, topics jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN bool_or(v.kind NOT IN ('string', 'number', 'null')) THEN ARRAY[NULL]::text[]
        ELSE array_agg(DISTINCT v.name COLLATE "C" ORDER BY v.name COLLATE "C") FILTER (WHERE v.name <> '')
    END
    FROM (
        SELECT jsonb_typeof(u.value) AS kind, u.value #>> '{}' AS name
        FROM jsonb_array_elements(
            CASE WHEN jsonb_typeof(topic) = 'array' THEN topic ELSE jsonb_build_array(topic) END
            || CASE WHEN jsonb_typeof(topics) = 'array' THEN topics ELSE jsonb_build_array(topics) END
        ) AS u (value)
    ) AS v
$$;

-- name: seedtest_question_meta
-- The object of question.meta; {} if it is empty in any spelling; NULL if it was not understood.
CREATE OR REPLACE FUNCTION seedtest_question_meta(meta jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    result jsonb := COALESCE(seedtest_json(meta), 'null');
BEGIN
    RETURN CASE
        WHEN jsonb_typeof(result) = 'object' THEN result
        WHEN result IN ('null', '[]') THEN '{}'
    END;
END
$$;

-- name: seedtest_question_tags
-- The array of tags in question.meta; [] if there are none; NULL if it was not understood.
CREATE OR REPLACE FUNCTION seedtest_question_tags(meta jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    result jsonb := seedtest_question_meta(meta);
BEGIN
    IF result IS NULL THEN
        RETURN NULL;
    END IF;
    result := COALESCE(seedtest_json(result -> 'tags'), 'null');
    RETURN CASE
        WHEN jsonb_typeof(result) = 'array' THEN result
        WHEN result IN ('null', '{}') THEN '[]'
    END;
END
$$;
