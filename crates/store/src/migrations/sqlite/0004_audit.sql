-- Who changed what, and who was refused. No reference to users: entries outlive them.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    username TEXT NOT NULL,
    address TEXT,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    attributes TEXT NOT NULL
);
CREATE INDEX audit_by_user ON audit (user_id, id);
