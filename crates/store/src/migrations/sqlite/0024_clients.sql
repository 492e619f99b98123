-- Users who are blocked, projects that are archived, the scopes of a token as they were asked for, and users by address.
ALTER TABLE users ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1));
ALTER TABLE projects ADD COLUMN archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1));
ALTER TABLE access_tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
UPDATE access_tokens SET scopes = CASE WHEN read_only THEN 'read_api' ELSE 'api' END;
CREATE INDEX users_by_email ON users (lower(email));
