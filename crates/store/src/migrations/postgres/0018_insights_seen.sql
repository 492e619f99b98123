-- Numbered objects of projects that events spoke of, for what never came. `measure`: 1 merge request, 2 issue, 3 pipeline.
CREATE TABLE insights_seen (
    project BIGINT NOT NULL,
    measure SMALLINT NOT NULL,
    iid BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (project, measure, iid)
);
CREATE INDEX insights_pushes_by_end ON insights_pushes (project, git_ref, after_sha, received_at);
CREATE INDEX insights_pushes_by_ref ON insights_pushes (project, git_ref, received_at);
