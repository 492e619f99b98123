-- Deployments, as pipelines.
CREATE TABLE insights_deployments (
    project BIGINT NOT NULL,
    iid BIGINT NOT NULL,
    opened_at BIGINT,
    settled_at BIGINT,
    state BYTEA NOT NULL,
    PRIMARY KEY (project, iid)
);
CREATE INDEX insights_deployments_by_end ON insights_deployments (settled_at);
