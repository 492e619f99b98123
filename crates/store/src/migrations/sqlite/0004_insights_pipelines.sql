-- Pipelines and runs of jobs, as merge requests and issues: `iid` is their number in GitLab.
CREATE TABLE insights_pipelines (
    project INTEGER NOT NULL,
    iid INTEGER NOT NULL,
    opened_at INTEGER,
    settled_at INTEGER,
    state BLOB NOT NULL,
    PRIMARY KEY (project, iid)
) WITHOUT ROWID;
CREATE INDEX insights_pipelines_by_end ON insights_pipelines (settled_at);
CREATE TABLE insights_jobs (
    project INTEGER NOT NULL,
    iid INTEGER NOT NULL,
    opened_at INTEGER,
    settled_at INTEGER,
    state BLOB NOT NULL,
    PRIMARY KEY (project, iid)
) WITHOUT ROWID;
CREATE INDEX insights_jobs_by_end ON insights_jobs (settled_at);
