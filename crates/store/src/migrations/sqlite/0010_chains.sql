-- Which hooks fired in a chain of events, for half an hour.
CREATE TABLE chains (
    chain BLOB NOT NULL,
    hook_id INTEGER NOT NULL,
    fired_at INTEGER NOT NULL,
    PRIMARY KEY (chain, hook_id)
) WITHOUT ROWID;
CREATE INDEX chains_by_time ON chains (fired_at);
