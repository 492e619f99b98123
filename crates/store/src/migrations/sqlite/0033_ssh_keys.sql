-- SSH keys of users. The fingerprint is the SHA-256 of the key without its comment: a key belongs to one user.
CREATE TABLE ssh_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    public_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    usage_type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
);
CREATE UNIQUE INDEX ssh_keys_by_fingerprint ON ssh_keys (fingerprint);
CREATE INDEX ssh_keys_by_user ON ssh_keys (user_id, id);
