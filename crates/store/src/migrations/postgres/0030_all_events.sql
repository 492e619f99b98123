-- Hooks for all events, the sources, groups and projects (JSON) that a hook of the instance is restricted to, and pauses by
-- people.
ALTER TABLE hooks ADD COLUMN all_events BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE hooks ADD COLUMN restriction TEXT;
ALTER TABLE hooks ADD COLUMN paused_at BIGINT;
ALTER TABLE hooks ADD COLUMN paused_by TEXT;
-- Silent mode, in the row that every decision about an event is checked against.
ALTER TABLE directory ADD COLUMN silent_since BIGINT;
