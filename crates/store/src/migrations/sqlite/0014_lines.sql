-- Hooks that want their events in order, object by object, and hooks with a client certificate of their own.
ALTER TABLE hooks ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0 CHECK (ordered IN (0, 1));
ALTER TABLE hooks ADD COLUMN client_certificate BLOB;
-- A digest of what the event is about. A delivery has it when it stands in a line of others about the same; one that is
-- parked in it is due 2^61 microseconds later than it would be.
ALTER TABLE events ADD COLUMN object INTEGER;
ALTER TABLE deliveries ADD COLUMN object INTEGER;
CREATE INDEX deliveries_lines ON deliveries (hook_id, object, due_at, event_id) WHERE object IS NOT NULL AND state < 2;
