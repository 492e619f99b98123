-- progress: 0 running, 1 paused, 2 finished, 3 cancelled. The cursor is the last delivery that was looked at.
CREATE TABLE replays (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    filter TEXT NOT NULL,
    rate INTEGER NOT NULL,
    progress INTEGER NOT NULL CHECK (progress BETWEEN 0 AND 3),
    cursor BLOB NOT NULL,
    advanced_at INTEGER NOT NULL,
    looked_at INTEGER NOT NULL,
    replayed INTEGER NOT NULL,
    finished_at INTEGER
);
CREATE INDEX replays_running ON replays (id) WHERE progress = 0;
