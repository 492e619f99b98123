-- Where the time of an attempt went, and the settings of its hook that it was made with.
ALTER TABLE attempts ADD COLUMN phases BYTEA;
ALTER TABLE attempts ADD COLUMN hook_version BIGINT;
-- The settings that requests are made of, without secrets, sealed. The version is the time of the change.
CREATE TABLE hook_versions (
    hook_id BIGINT NOT NULL REFERENCES hooks (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    settings BYTEA NOT NULL,
    PRIMARY KEY (hook_id, version)
);
