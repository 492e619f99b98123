-- Inspectors: private addresses that keep the requests which they get.
CREATE TABLE inspectors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    inspector_key TEXT NOT NULL UNIQUE,
    owner_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT,
    secrets BLOB,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    delay_ms INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX inspectors_by_owner ON inspectors (owner_id);
CREATE INDEX inspectors_by_expiry ON inspectors (expires_at);

CREATE TABLE inspector_requests (
    id BLOB PRIMARY KEY NOT NULL,
    inspector_id INTEGER NOT NULL REFERENCES inspectors (id) ON DELETE CASCADE,
    kept_bytes INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    address TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    note TEXT,
    token_verdict INTEGER NOT NULL,
    signature_verdict INTEGER NOT NULL,
    hub_verdict INTEGER NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX inspector_requests_by_inspector ON inspector_requests (inspector_id, id, kept_bytes);

-- The difference between the clock of a node and the clock of the database. SQLite has no other clock.
ALTER TABLE nodes ADD COLUMN ahead_micros INTEGER;

-- Counts of the requests of a source by minute, as a list in JSON.
ALTER TABLE source_requests ADD COLUMN minutes TEXT;
