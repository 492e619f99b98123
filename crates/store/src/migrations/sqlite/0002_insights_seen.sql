-- Numbered objects of projects that events spoke of, for what never came. `measure`: 1 merge request, 2 issue, 3 pipeline.
CREATE TABLE insights_seen (
    project INTEGER NOT NULL,
    measure INTEGER NOT NULL,
    iid INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (project, measure, iid)
) WITHOUT ROWID;
CREATE INDEX insights_pushes_by_end ON insights_pushes (project, git_ref, after_sha, received_at);
CREATE INDEX insights_pushes_by_ref ON insights_pushes (project, git_ref, received_at);
