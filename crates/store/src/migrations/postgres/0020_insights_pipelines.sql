-- Pipelines and runs of jobs, as merge requests and issues: `iid` is their number in GitLab.
CREATE TABLE insights_pipelines (
    project BIGINT NOT NULL,
    iid BIGINT NOT NULL,
    opened_at BIGINT,
    settled_at BIGINT,
    state BYTEA NOT NULL,
    PRIMARY KEY (project, iid)
);
CREATE INDEX insights_pipelines_by_end ON insights_pipelines (settled_at);
CREATE TABLE insights_jobs (
    project BIGINT NOT NULL,
    iid BIGINT NOT NULL,
    opened_at BIGINT,
    settled_at BIGINT,
    state BYTEA NOT NULL,
    PRIMARY KEY (project, iid)
);
CREATE INDEX insights_jobs_by_end ON insights_jobs (settled_at);
