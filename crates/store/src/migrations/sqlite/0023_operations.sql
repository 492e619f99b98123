-- Saves of one object that wait for the last of their operation, to become one event.
CREATE TABLE operations (
    id BLOB PRIMARY KEY NOT NULL,
    place_kind INTEGER NOT NULL,
    place_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
    due_at INTEGER NOT NULL,
    chain BLOB,
    key TEXT,
    saves BLOB NOT NULL
);
CREATE UNIQUE INDEX operations_open ON operations (place_kind, place_id, name) WHERE closed = 0;
CREATE INDEX operations_by_name ON operations (place_kind, place_id, name);
CREATE INDEX operations_by_due ON operations (due_at);
