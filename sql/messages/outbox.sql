-- Brings the outbox in line with the sentences of a week.
-- Grain:  message. Inputs: weekly_message, message_outbox. Params: week_start.

-- name: cancel
-- A sentence that is not true any more and was not handed over.
UPDATE message_outbox AS o
SET state = 'cancelled', reason = 'corrected', changed_at = now()
WHERE
    o.week_start = :week_start AND o.state = 'new'
    AND NOT EXISTS (
        SELECT FROM weekly_message AS m
        WHERE
            m.user_id = o.user_id AND m.week_start = o.week_start AND m.recipient = o.recipient
            AND m.code = o.code AND m.text = o.text AND m.evidence = o.evidence
    );

-- name: issue
-- One message for each sentence that has none but cancelled ones.
INSERT INTO message_outbox (user_id, week_start, recipient, revision, code, language, text, evidence)
SELECT
    m.user_id,
    m.week_start,
    m.recipient,
    1 + (
        SELECT count(*) FROM message_outbox AS o
        WHERE o.user_id = m.user_id AND o.week_start = m.week_start AND o.recipient = m.recipient
    ),
    m.code,
    m.language,
    m.text,
    m.evidence
FROM weekly_message AS m
WHERE
    m.week_start = :week_start
    AND NOT EXISTS (
        SELECT FROM message_outbox AS o
        WHERE
            o.user_id = m.user_id AND o.week_start = m.week_start AND o.recipient = m.recipient
            AND o.state <> 'cancelled'
    )
ON CONFLICT DO NOTHING;
