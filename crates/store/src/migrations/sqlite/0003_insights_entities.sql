-- Merge requests and issues, joined: `state` is what events said of one, `opened_at` and `settled_at` are when it can matter.
CREATE TABLE insights_merge_requests (
    project INTEGER NOT NULL,
    iid INTEGER NOT NULL,
    opened_at INTEGER,
    settled_at INTEGER,
    state BLOB NOT NULL,
    PRIMARY KEY (project, iid)
) WITHOUT ROWID;
CREATE INDEX insights_merge_requests_by_end ON insights_merge_requests (settled_at);
CREATE TABLE insights_issues (
    project INTEGER NOT NULL,
    iid INTEGER NOT NULL,
    opened_at INTEGER,
    settled_at INTEGER,
    state BLOB NOT NULL,
    PRIMARY KEY (project, iid)
) WITHOUT ROWID;
CREATE INDEX insights_issues_by_end ON insights_issues (settled_at);
CREATE TABLE insights_users (
    id INTEGER PRIMARY KEY NOT NULL,
    seen_at INTEGER NOT NULL,
    username TEXT NOT NULL,
    name TEXT NOT NULL
);
