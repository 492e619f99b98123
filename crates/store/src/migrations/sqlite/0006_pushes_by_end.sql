-- The key in another order serves the question where a branch was, which had an index of its own: as random as the key, and as large.
DROP INDEX insights_pushes_by_time;
DROP INDEX insights_pushes_by_end;
DROP INDEX insights_pushes_by_ref;
ALTER TABLE insights_pushes RENAME TO old_pushes;
CREATE TABLE insights_pushes (
    project INTEGER NOT NULL,
    before_sha TEXT NOT NULL,
    after_sha TEXT NOT NULL,
    git_ref TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    total INTEGER NOT NULL,
    listed INTEGER NOT NULL,
    PRIMARY KEY (project, git_ref, after_sha, before_sha)
);
INSERT INTO insights_pushes SELECT * FROM old_pushes;
DROP TABLE old_pushes;
CREATE INDEX insights_pushes_by_time ON insights_pushes (received_at);
CREATE INDEX insights_pushes_by_ref ON insights_pushes (project, git_ref, received_at);
