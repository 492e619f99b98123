-- Sessions of people who are signed in with a browser. Only digests of their secrets are stored. A session that began
-- with an access token has the scopes of the token, and ends with it.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_id INTEGER REFERENCES access_tokens (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    address TEXT,
    browser TEXT NOT NULL
);
CREATE INDEX sessions_of_users ON sessions (user_id, used_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX sessions_of_tokens ON sessions (token_id);
