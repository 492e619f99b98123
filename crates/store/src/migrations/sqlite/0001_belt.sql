-- The belt: scopes, hooks, journal, deliveries, attempts, facts. Times are microseconds UTC; uuids are 16-byte blobs.

CREATE TABLE settings (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    is_admin INTEGER NOT NULL CHECK (is_admin IN (0, 1)),
    created_at INTEGER NOT NULL
);
INSERT INTO users (id, username, name, is_admin, created_at) VALUES (1, 'root', 'Administrator', 1, 0);

CREATE TABLE access_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    parent_id INTEGER REFERENCES groups (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    full_path TEXT NOT NULL COLLATE NOCASE UNIQUE,
    description TEXT,
    visibility_level INTEGER NOT NULL CHECK (visibility_level IN (0, 10, 20)),
    created_at INTEGER NOT NULL
);
CREATE INDEX groups_by_parent ON groups (parent_id);

CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    full_path TEXT NOT NULL COLLATE NOCASE UNIQUE,
    description TEXT,
    default_branch TEXT,
    visibility_level INTEGER NOT NULL CHECK (visibility_level IN (0, 10, 20)),
    created_at INTEGER NOT NULL
);
CREATE INDEX projects_by_group ON projects (group_id);

-- At most one of project_id and group_id is set; a hook with neither is a system hook.
CREATE TABLE hooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid BLOB NOT NULL UNIQUE,
    project_id INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    group_id INTEGER REFERENCES groups (id) ON DELETE CASCADE,
    url BLOB NOT NULL,
    token BLOB,
    signing_token BLOB,
    enable_ssl_verification INTEGER NOT NULL CHECK (enable_ssl_verification IN (0, 1)),
    branch_filter_strategy TEXT NOT NULL CHECK (branch_filter_strategy IN ('wildcard', 'regex', 'all_branches')),
    branch_filter TEXT,
    name TEXT,
    description TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK (project_id IS NULL OR group_id IS NULL)
);
CREATE INDEX hooks_by_project ON hooks (project_id);
CREATE INDEX hooks_by_group ON hooks (group_id);

CREATE TABLE hook_triggers (
    hook_id INTEGER NOT NULL REFERENCES hooks (id) ON DELETE CASCADE,
    trigger_name TEXT NOT NULL,
    PRIMARY KEY (hook_id, trigger_name)
) WITHOUT ROWID;

-- Only hooks with something to remember have a row: the usual success reads and writes nothing here.
CREATE TABLE hook_health (
    hook_id INTEGER PRIMARY KEY NOT NULL REFERENCES hooks (id) ON DELETE CASCADE,
    recent_failures INTEGER NOT NULL,
    pauses INTEGER NOT NULL,
    disabled_until INTEGER,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1))
);

CREATE TABLE directory (version INTEGER NOT NULL);
INSERT INTO directory (version) VALUES (1);
CREATE TRIGGER directory_hooks_1 AFTER INSERT ON hooks BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_hooks_2 AFTER UPDATE ON hooks BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_hooks_3 AFTER DELETE ON hooks BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_projects_1 AFTER INSERT ON projects BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_projects_2 AFTER UPDATE ON projects BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_projects_3 AFTER DELETE ON projects BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_groups_1 AFTER INSERT ON groups BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_groups_2 AFTER UPDATE ON groups BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_groups_3 AFTER DELETE ON groups BEGIN UPDATE directory SET version = version + 1; END;

-- The journal. The key is a UUIDv7, so rows are added at the right edge; the body comes last, so that reading the other
-- columns never touches its pages.
CREATE TABLE events (
    id BLOB PRIMARY KEY NOT NULL,
    place_kind INTEGER NOT NULL,
    place_id INTEGER NOT NULL,
    trigger_code INTEGER NOT NULL,
    source_kind INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    chain BLOB,
    git_ref TEXT,
    payload BLOB NOT NULL
) WITHOUT ROWID;

-- The marks: a row here is an event that still waits.
CREATE TABLE fan_out_pending (event_id BLOB PRIMARY KEY NOT NULL) WITHOUT ROWID;
CREATE TABLE projection_pending (event_id BLOB PRIMARY KEY NOT NULL) WITHOUT ROWID;
CREATE TABLE projection_poison (event_id BLOB PRIMARY KEY NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE skips (
    event_id BLOB NOT NULL,
    hook_id INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    PRIMARY KEY (event_id, hook_id)
) WITHOUT ROWID;

-- Keys that recognise a second copy, in the order of arrival. Looking them up is done in memory; see sqlite/keys.rs.
CREATE TABLE idempotency_keys (
    event_id BLOB PRIMARY KEY NOT NULL,
    key_hash BLOB NOT NULL,
    received_at INTEGER NOT NULL
) WITHOUT ROWID;
-- Those that left memory, sorted by key: filled in sorted batches, which touch each page once.
CREATE TABLE idempotency_archive (
    key_hash BLOB PRIMARY KEY NOT NULL,
    event_id BLOB NOT NULL,
    received_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX idempotency_archive_by_event ON idempotency_archive (event_id);

-- state: 0 waiting, 1 retrying, 2 delivered, 3 given up, 4 cancelled. The id is a function of event and hook.
CREATE TABLE deliveries (
    id BLOB PRIMARY KEY NOT NULL,
    event_id BLOB NOT NULL,
    hook_id INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER
) WITHOUT ROWID;
CREATE INDEX deliveries_owed ON deliveries (state, hook_id, due_at) WHERE state < 2;

-- One row per claimed batch, so that intent is on disk before the first byte is sent. Rows left over by a process that
-- died are attempts of unknown outcome. The fences themselves live in memory: one process owns the file.
CREATE TABLE leases (
    claim INTEGER PRIMARY KEY AUTOINCREMENT,
    lease_until INTEGER NOT NULL,
    deliveries BLOB NOT NULL
);

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery_id BLOB NOT NULL,
    hook_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    status INTEGER,
    started_at INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    address TEXT,
    error TEXT,
    response_headers TEXT,
    response_body BLOB
);
CREATE INDEX attempts_by_delivery ON attempts (delivery_id);
CREATE INDEX attempts_by_hook ON attempts (hook_id, id);

CREATE TABLE nodes (
    id BLOB PRIMARY KEY NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;
