-- Users with addresses, tokens that expire, and members of projects and groups.
ALTER TABLE users ADD COLUMN email TEXT;
CREATE UNIQUE INDEX users_by_login ON users (lower(username));

ALTER TABLE access_tokens ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0 CHECK (read_only IN (0, 1));
ALTER TABLE access_tokens ADD COLUMN expires_at INTEGER;
ALTER TABLE access_tokens ADD COLUMN last_used_at INTEGER;
ALTER TABLE access_tokens ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0 CHECK (revoked IN (0, 1));
CREATE INDEX access_tokens_by_user ON access_tokens (user_id);

-- Exactly one of project_id and group_id is set. Levels are GitLab's: 10 guest, 20 reporter, 30 developer, 40 maintainer,
-- 50 owner.
CREATE TABLE members (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    project_id INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    group_id INTEGER REFERENCES groups (id) ON DELETE CASCADE,
    access_level INTEGER NOT NULL CHECK (access_level IN (10, 20, 30, 40, 50)),
    expires_at INTEGER
);
CREATE UNIQUE INDEX members_by_project ON members (project_id, user_id) WHERE project_id IS NOT NULL;
CREATE UNIQUE INDEX members_by_group ON members (group_id, user_id) WHERE group_id IS NOT NULL;
CREATE INDEX members_by_user ON members (user_id);
