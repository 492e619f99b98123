-- Rules of notifications. At most one of project_id and group_id is set; a rule with neither is of the instance. kinds
-- is a set of bits. channel: 1 mail, 2 Slack, 3 Mattermost, 4 Teams. digest: 0 at once, 1 hourly, 2 daily. The target
-- is sealed: mail addresses, or the URL of a chat.
CREATE TABLE notification_rules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid BLOB NOT NULL UNIQUE,
    project_id INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    group_id INTEGER REFERENCES groups (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    kinds INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    target BLOB NOT NULL,
    digest INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    zone TEXT NOT NULL,
    silent_hours INTEGER NOT NULL,
    backlog_above INTEGER NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL DEFAULT 0,
    last_sent_at INTEGER,
    last_error TEXT,
    last_error_at INTEGER,
    unlisted INTEGER NOT NULL DEFAULT 0,
    CHECK (project_id IS NULL OR group_id IS NULL)
);
CREATE INDEX notification_rules_by_project ON notification_rules (project_id);
CREATE INDEX notification_rules_by_group ON notification_rules (group_id);

-- States other than the usual one. topic: 1 hook, 2 backlog of a hook, 3 source, 4 silent mode. rule_id is 0 where
-- the state depends on no rule. topic_state: 1 failing, 2 disabled, 3 raised.
CREATE TABLE notification_topic_states (
    topic INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    rule_id INTEGER NOT NULL,
    topic_state INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (topic, subject, rule_id)
) WITHOUT ROWID;

-- News that waits for the next message of a rule.
CREATE TABLE notification_news (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rule_id INTEGER NOT NULL REFERENCES notification_rules (id) ON DELETE CASCADE,
    due_at INTEGER NOT NULL,
    news TEXT NOT NULL
);
CREATE INDEX notification_news_by_rule ON notification_news (rule_id, id);

-- The last messages of each rule. result: 0 sent, 1 failed, 2 given up. A test has no news.
CREATE TABLE notification_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rule_id INTEGER NOT NULL REFERENCES notification_rules (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    news INTEGER NOT NULL,
    subject TEXT NOT NULL,
    result INTEGER NOT NULL,
    error TEXT
);
CREATE INDEX notification_messages_by_rule ON notification_messages (rule_id, id);
