-- The function seedtest_exam_questions as migration 0009 defined it; a downgrade to 0036 gives it back.
-- Grain:  one exam. Inputs: exam_results.result_json. Params: none.
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
    result := result -> 'questions';
    RETURN CASE WHEN jsonb_typeof(result) = 'string' THEN seedtest_json(result) ELSE result END;
END
$$;
