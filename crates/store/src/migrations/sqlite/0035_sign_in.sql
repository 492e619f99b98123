-- Ways to sign in: passwords of local accounts, the set-up link, identities at an OpenID Connect provider, and links of
-- portals. Only digests of links are stored.
CREATE TABLE passwords (
    user_id INTEGER PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    changed_at INTEGER NOT NULL
);

-- There is one link at most: a new link replaces the one before.
CREATE TABLE setup_links (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    digest BLOB NOT NULL,
    expires_at INTEGER NOT NULL
);

CREATE TABLE identities_oidc (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_oidc_by_user ON identities_oidc (user_id);

-- Exactly one of project_id and group_id is set.
CREATE TABLE portal_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    project_id INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    group_id INTEGER REFERENCES groups (id) ON DELETE CASCADE,
    manages INTEGER NOT NULL CHECK (manages IN (0, 1)),
    theme TEXT NOT NULL,
    return_url TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX portal_sessions_by_user ON portal_sessions (user_id);
CREATE INDEX portal_sessions_by_project ON portal_sessions (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX portal_sessions_by_group ON portal_sessions (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX portal_sessions_by_end ON portal_sessions (expires_at);
