-- Merge requests and issues, joined: `state` is what events said of one, `opened_at` and `settled_at` are when it can matter.
CREATE TABLE insights_merge_requests (
    project BIGINT NOT NULL,
    iid BIGINT NOT NULL,
    opened_at BIGINT,
    settled_at BIGINT,
    state BYTEA NOT NULL,
    PRIMARY KEY (project, iid)
);
CREATE INDEX insights_merge_requests_by_end ON insights_merge_requests (settled_at);
CREATE TABLE insights_issues (
    project BIGINT NOT NULL,
    iid BIGINT NOT NULL,
    opened_at BIGINT,
    settled_at BIGINT,
    state BYTEA NOT NULL,
    PRIMARY KEY (project, iid)
);
CREATE INDEX insights_issues_by_end ON insights_issues (settled_at);
CREATE TABLE insights_users (
    id BIGINT PRIMARY KEY NOT NULL,
    seen_at BIGINT NOT NULL,
    username TEXT NOT NULL,
    name TEXT NOT NULL
);
