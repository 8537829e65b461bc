-- The states of the outbox. A message leaves the state new only by the statement claim, so it is handed over once.
-- Grain:  message. Inputs: message_outbox, message_consent.
-- Params: channel, now, key, reason, state, resends (a message of this channel under way may be handed over again, because
--         its receiver knows the key), oldest (Monday of the oldest week that is sent), not_before, address, week_start.

-- name: next
SELECT
    o.key::text AS key,
    o.user_id,
    o.week_start,
    o.recipient,
    o.language,
    o.code,
    o.text,
    o.evidence,
    o.tries,
    c.address
FROM message_outbox AS o
INNER JOIN message_consent AS c
    ON c.user_id = o.user_id AND c.recipient = o.recipient AND c.channel = :channel
WHERE
    (o.state = 'new' OR (:resends AND o.state = 'sending' AND o.channel = :channel))
    AND (o.not_before IS NULL OR o.not_before <= :now)
    AND o.week_start >= :oldest
    AND c.consented_at <= :now AND c.withdrawn_at IS NULL AND c.bounced_at IS NULL
ORDER BY o.created_at, o.key
LIMIT 1;

-- name: claim
-- The one way out of the state new: of two senders one changes a row, and neither does after a withdrawal.
UPDATE message_outbox AS o
SET state = 'sending', channel = :channel, reason = NULL, tries = o.tries + 1, changed_at = now()
WHERE
    o.key = CAST(:key AS uuid)
    AND (o.state = 'new' OR (:resends AND o.state = 'sending' AND o.channel = :channel))
    AND EXISTS (
        SELECT FROM message_consent AS c
        WHERE
            c.user_id = o.user_id AND c.recipient = o.recipient AND c.channel = :channel
            AND c.consented_at <= :now AND c.withdrawn_at IS NULL AND c.bounced_at IS NULL
    );

-- name: settle
-- What became of a message that was handed over: sent, failed, or new again because it certainly was not accepted.
UPDATE message_outbox
SET state = :state, reason = :reason, not_before = :not_before, changed_at = now()
WHERE key = CAST(:key AS uuid) AND state = 'sending';

-- name: postpone
-- A message that could not be handed over, or whose receiver will be asked again.
UPDATE message_outbox
SET
    reason = :reason,
    not_before = :not_before,
    tries = CASE WHEN state = 'new' THEN tries + 1 ELSE tries END,
    changed_at = now()
WHERE key = CAST(:key AS uuid) AND state IN ('new', 'sending');

-- name: refuse
-- A message that was refused for good before it was handed over.
UPDATE message_outbox
SET state = 'failed', reason = :reason, channel = :channel, tries = tries + 1, changed_at = now()
WHERE key = CAST(:key AS uuid) AND state = 'new';

-- name: expire
UPDATE message_outbox
SET state = 'cancelled', reason = 'late', changed_at = now()
WHERE state = 'new' AND week_start < :oldest;

-- name: block_address
UPDATE message_consent AS c
SET bounced_at = :now
FROM message_outbox AS o
WHERE
    o.key = CAST(:key AS uuid) AND c.user_id = o.user_id AND c.recipient = o.recipient AND c.channel = :channel
    AND c.bounced_at IS NULL;

-- name: bounce
-- A mail that was accepted and came back.
UPDATE message_outbox
SET state = 'failed', reason = :reason, changed_at = now()
WHERE key = CAST(:key AS uuid) AND state IN ('sent', 'sending');

-- name: resolve
-- An operator's decision about a message of which nobody knows whether it was accepted.
UPDATE message_outbox
SET state = :state, reason = 'operator', not_before = NULL, changed_at = now()
WHERE key = CAST(:key AS uuid) AND state = 'sending';

-- name: unresolved
SELECT key::text AS key, channel, changed_at
FROM message_outbox
WHERE state = 'sending'
ORDER BY changed_at, key;

-- name: counts
SELECT
    count(*) FILTER (WHERE o.state = 'new') AS new,
    count(*) FILTER (WHERE o.state = 'sending') AS sending,
    count(*) FILTER (WHERE o.state = 'sent') AS sent,
    count(*) FILTER (WHERE o.state = 'failed') AS failed,
    count(*) FILTER (WHERE o.state = 'cancelled') AS cancelled,
    count(*) FILTER (WHERE o.state = 'new' AND o.week_start >= :oldest AND c.user_id IS NOT NULL) AS with_consent,
    count(*) FILTER (WHERE o.state = 'new' AND o.week_start >= :oldest AND c.user_id IS NULL) AS without_consent,
    count(*) FILTER (WHERE o.state = 'new' AND o.week_start < :oldest) AS late
FROM message_outbox AS o
LEFT JOIN message_consent AS c
    ON
        c.user_id = o.user_id AND c.recipient = o.recipient AND c.channel = :channel
        AND c.consented_at <= :now AND c.withdrawn_at IS NULL AND c.bounced_at IS NULL;

-- name: health
SELECT
    count(*) FILTER (WHERE state = 'sent') AS sent,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (
        WHERE state = 'sending' AND changed_at < CAST(:now AS timestamptz) - INTERVAL '1 day'
    ) AS stuck
FROM message_outbox
WHERE week_start > CAST(:week_start AS date) - 28 AND week_start <= :week_start;
