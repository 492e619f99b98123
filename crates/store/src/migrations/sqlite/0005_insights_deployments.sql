-- Deployments, as pipelines.
CREATE TABLE insights_deployments (
    project INTEGER NOT NULL,
    iid INTEGER NOT NULL,
    opened_at INTEGER,
    settled_at INTEGER,
    state BLOB NOT NULL,
    PRIMARY KEY (project, iid)
) WITHOUT ROWID;
CREATE INDEX insights_deployments_by_end ON insights_deployments (settled_at);
