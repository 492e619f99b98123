-- Hooks that want their events in order, object by object, and hooks with a client certificate of their own.
ALTER TABLE hooks ADD COLUMN ordered BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE hooks ADD COLUMN client_certificate BYTEA;
-- A digest of what the event is about. A delivery has it when it stands in a line of others about the same; one that is
-- parked in it is due 2^61 microseconds later than it would be.
ALTER TABLE events ADD COLUMN object BIGINT;
ALTER TABLE deliveries ADD COLUMN object BIGINT;
CREATE INDEX deliveries_lines ON deliveries (hook_id, object, due_at, event_id) WHERE object IS NOT NULL AND state < 2;
