-- Where the time of an attempt went, and the settings of its hook that it was made with.
ALTER TABLE attempts ADD COLUMN phases BLOB;
ALTER TABLE attempts ADD COLUMN hook_version INTEGER;
-- The settings that requests are made of, without secrets, sealed. The version is the time of the change.
CREATE TABLE hook_versions (
    hook_id INTEGER NOT NULL REFERENCES hooks (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    settings BLOB NOT NULL,
    PRIMARY KEY (hook_id, version)
) WITHOUT ROWID;
