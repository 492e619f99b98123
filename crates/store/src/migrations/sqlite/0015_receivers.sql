-- Receivers beside the default one, which has the number 1 and stands in the settings.
CREATE TABLE receivers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    mode INTEGER NOT NULL,
    secrets BLOB NOT NULL,
    window_seconds INTEGER NOT NULL,
    addresses TEXT NOT NULL,
    per_minute INTEGER,
    body_limit INTEGER NOT NULL,
    twins INTEGER NOT NULL CHECK (twins IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
INSERT INTO sqlite_sequence (name, seq) VALUES ('receivers', 1);
CREATE TRIGGER directory_receivers_1 AFTER INSERT ON receivers BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_receivers_2 AFTER UPDATE ON receivers BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_receivers_3 AFTER DELETE ON receivers BEGIN UPDATE directory SET version = version + 1; END;
-- The last requests of each receiver, those that were refused as well, as each node saw them: a list in JSON.
CREATE TABLE receiver_requests (
    receiver_id INTEGER NOT NULL,
    node_id BLOB NOT NULL,
    saved_at INTEGER NOT NULL,
    requests TEXT NOT NULL,
    PRIMARY KEY (receiver_id, node_id)
) WITHOUT ROWID;
-- What the sender said of itself, where that is not what the kind of event says; and of which other event this one is a
-- twin: the same, by way of another hook.
ALTER TABLE events ADD COLUMN sent_as TEXT;
ALTER TABLE events ADD COLUMN instance TEXT;
ALTER TABLE events ADD COLUMN twin_of BLOB;
-- Projects of other instances, and what stands for them here.
CREATE TABLE known_projects (
    instance TEXT NOT NULL,
    foreign_id INTEGER NOT NULL,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    PRIMARY KEY (instance, foreign_id)
) WITHOUT ROWID;
CREATE INDEX known_projects_by_project ON known_projects (project_id);
CREATE TRIGGER directory_known_1 AFTER INSERT ON known_projects BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_known_2 AFTER DELETE ON known_projects BEGIN UPDATE directory SET version = version + 1; END;
