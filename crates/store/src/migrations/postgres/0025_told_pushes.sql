-- Moves of branches that were told of afterwards, as of `at`, and were not received by then: gaps lie between those that were received,
-- and have a table of their own.
CREATE TABLE insights_told_pushes (
    project BIGINT NOT NULL,
    git_ref TEXT NOT NULL,
    after_sha TEXT NOT NULL,
    before_sha TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (project, git_ref, after_sha, before_sha)
);
CREATE INDEX insights_told_pushes_by_time ON insights_told_pushes (at);
