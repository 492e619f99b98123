-- Plain names: the author of a path sets it, a replay scans deliveries, and events that cannot be read are set aside.
ALTER TABLE groups RENAME COLUMN path_chosen_by TO path_set_by;
ALTER TABLE projects RENAME COLUMN path_chosen_by TO path_set_by;
ALTER TABLE replays RENAME COLUMN looked_at TO scanned;
ALTER TABLE projection_poison RENAME TO projection_set_aside;
-- SQLite cannot rename an index.
DROP INDEX deliveries_lines;
CREATE INDEX deliveries_ordering_queues ON deliveries (hook_id, object, due_at, event_id)
    WHERE object IS NOT NULL AND state < 2;
