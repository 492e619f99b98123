-- One name for each thing: sources receive events, events have an origin, and a copy is a duplicate.
ALTER TABLE receivers RENAME TO sources;
ALTER TABLE sources RENAME COLUMN receiver_key TO source_key;
ALTER TABLE sources RENAME COLUMN twins TO deduplicate;
ALTER TABLE receiver_requests RENAME TO source_requests;
ALTER TABLE source_requests RENAME COLUMN receiver_id TO source_id;
ALTER TABLE receiver_instances RENAME TO source_instances;
ALTER TABLE source_instances RENAME COLUMN receiver_id TO source_id;
ALTER TABLE events RENAME COLUMN source_kind TO origin_kind;
ALTER TABLE events RENAME COLUMN source_id TO origin_id;
ALTER TABLE events RENAME COLUMN twin_of TO duplicate_of;
-- Projects and groups of a source whose GitLab never gave its address are known by the number of the source.
UPDATE known_projects SET instance = 'source' || substr(instance, 9) WHERE instance LIKE 'receiver:%';
UPDATE known_groups SET instance = 'source' || substr(instance, 9) WHERE instance LIKE 'receiver:%';
