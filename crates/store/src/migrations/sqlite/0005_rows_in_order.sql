-- Rows in the order in which they came, and keys in an index of their own: names of commits are random, so rows kept in the order of
-- their keys are written all over the file, and the more the longer it is.
ALTER TABLE insights_commits RENAME TO old_commits;
DROP INDEX insights_commits_by_time;
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
);
INSERT INTO insights_commits SELECT * FROM old_commits;
DROP TABLE old_commits;
CREATE INDEX insights_commits_by_time ON insights_commits (at);
ALTER TABLE insights_pushes RENAME TO old_pushes;
DROP INDEX insights_pushes_by_time;
DROP INDEX insights_pushes_by_end;
DROP INDEX insights_pushes_by_ref;
CREATE TABLE insights_pushes (
    project INTEGER NOT NULL,
    before_sha TEXT NOT NULL,
    after_sha TEXT NOT NULL,
    git_ref TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    total INTEGER NOT NULL,
    listed INTEGER NOT NULL,
    PRIMARY KEY (project, before_sha, after_sha, git_ref)
);
INSERT INTO insights_pushes SELECT * FROM old_pushes;
DROP TABLE old_pushes;
CREATE INDEX insights_pushes_by_time ON insights_pushes (received_at);
CREATE INDEX insights_pushes_by_end ON insights_pushes (project, git_ref, after_sha, received_at);
CREATE INDEX insights_pushes_by_ref ON insights_pushes (project, git_ref, received_at);
