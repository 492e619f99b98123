-- Saves of one object that wait for the last of their operation, to become one event.
CREATE TABLE operations (
    id UUID PRIMARY KEY NOT NULL,
    place_kind SMALLINT NOT NULL,
    place_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    closed BOOLEAN NOT NULL,
    due_at BIGINT NOT NULL,
    chain UUID,
    key TEXT,
    saves BYTEA NOT NULL
);
CREATE UNIQUE INDEX operations_open ON operations (place_kind, place_id, name) WHERE NOT closed;
CREATE INDEX operations_by_name ON operations (place_kind, place_id, name);
CREATE INDEX operations_by_due ON operations (due_at);
