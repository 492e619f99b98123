-- When a path was seen: of two, the later one is the project's.
ALTER TABLE insights_projects ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
