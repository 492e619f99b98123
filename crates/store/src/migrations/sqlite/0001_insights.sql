-- Facts and rollups, in a file of their own. Times are microseconds UTC.

CREATE TABLE insights_identities (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (email, name)
);
CREATE TABLE insights_projects (id INTEGER PRIMARY KEY NOT NULL, path TEXT NOT NULL);
CREATE TABLE insights_commits (
    project INTEGER NOT NULL,
    sha TEXT NOT NULL,
    at INTEGER NOT NULL,
    identity INTEGER NOT NULL,
    undated INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    offset_minutes INTEGER NOT NULL,
    merge_message INTEGER NOT NULL,
    change BLOB NOT NULL,
    paths BLOB NOT NULL,
    first_received_at INTEGER NOT NULL,
    landed INTEGER NOT NULL,
    is_merge_commit INTEGER NOT NULL,
    PRIMARY KEY (project, sha)
) WITHOUT ROWID;
CREATE INDEX insights_commits_by_time ON insights_commits (at);
CREATE TABLE insights_merge_commits (
    project INTEGER NOT NULL,
    sha TEXT NOT NULL,
    PRIMARY KEY (project, sha)
) WITHOUT ROWID;
CREATE TABLE insights_pushes (
    project INTEGER NOT NULL,
    before_sha TEXT NOT NULL,
    after_sha TEXT NOT NULL,
    git_ref TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    total INTEGER NOT NULL,
    listed INTEGER NOT NULL,
    PRIMARY KEY (project, before_sha, after_sha, git_ref)
) WITHOUT ROWID;
CREATE INDEX insights_pushes_by_time ON insights_pushes (received_at);
CREATE TABLE insights_rollups (
    hour INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    project INTEGER NOT NULL,
    identity INTEGER NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (hour, metric, project, identity)
) WITHOUT ROWID;
