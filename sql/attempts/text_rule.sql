-- Defines seedtest_is_plain_text: the rule that every text of a source must pass before it reaches a table of the platform.
-- Grain:  one text. Inputs: none. Params: none.
-- Rule:   at most 200 characters, and no control character, line separator or paragraph separator. PostgreSQL itself
--         excludes NUL and lone surrogates. NULL stays NULL. The loader applies the same rule
--         (seedtest_analytics.ingest.text_rule); a test compares both, character by character.
-- Reason: 200 characters have at most 800 bytes, so an index row with three texts stays below its limit of 2,704 bytes.
CREATE OR REPLACE FUNCTION seedtest_is_plain_text(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT length(value) <= 200 AND value !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]' $$;
