-- Which hooks fired in a chain of events, for half an hour.
CREATE TABLE chains (
    chain UUID NOT NULL,
    hook_id BIGINT NOT NULL,
    fired_at BIGINT NOT NULL,
    PRIMARY KEY (chain, hook_id)
);
CREATE INDEX chains_by_time ON chains (fired_at);
