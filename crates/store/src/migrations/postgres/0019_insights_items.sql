-- What events said of one thing each, joined: `family` is 1 merge request, 2 issue, 3 pipeline, 4 run of a job, 5 deployment,
-- 6 push, 7 branch; `number` its number in the project or in GitLab, or a digest; `opened_at` and `settled_at` are when it can
-- matter.
CREATE TABLE insights_items (
    family SMALLINT NOT NULL,
    project BIGINT NOT NULL,
    number BIGINT NOT NULL,
    opened_at BIGINT,
    settled_at BIGINT,
    state BYTEA NOT NULL,
    PRIMARY KEY (family, project, number)
);
CREATE INDEX insights_items_by_end ON insights_items (family, settled_at);
CREATE TABLE insights_users (
    id BIGINT PRIMARY KEY NOT NULL,
    seen_at BIGINT NOT NULL,
    username TEXT NOT NULL,
    name TEXT NOT NULL
);
