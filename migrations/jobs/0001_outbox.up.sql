-- Durable jobs, from the commit of their enqueue until they are done.
CREATE TABLE prong_outbox (
    id         uuid PRIMARY KEY,
    queue      text NOT NULL,
    job        text NOT NULL,
    due        timestamptz, -- NULL: at once
    record     text NOT NULL, -- what goes into Redis: a header and the payload, each JSON
    created_at timestamptz NOT NULL DEFAULT now(),
    relayed_at timestamptz, -- NULL: to be put into Redis
    dead_at    timestamptz, -- NULL: it lives
    error      jsonb -- of a dead one: {"code":…,"message":…}
);
CREATE INDEX prong_outbox_to_relay ON prong_outbox (queue, id) WHERE relayed_at IS NULL;
CREATE INDEX prong_outbox_dead ON prong_outbox (queue, dead_at) WHERE dead_at IS NOT NULL;
