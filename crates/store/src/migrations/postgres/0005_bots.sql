-- An access token of a project or group stands for a user of its own, who goes with it.
ALTER TABLE users ADD COLUMN project_id BIGINT REFERENCES projects (id) ON DELETE CASCADE;
ALTER TABLE users ADD COLUMN group_id BIGINT REFERENCES groups (id) ON DELETE CASCADE;
CREATE INDEX users_by_project ON users (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX users_by_group ON users (group_id) WHERE group_id IS NOT NULL;

-- Since when a hook calls what it calls: what was sent elsewhere is not sent again.
ALTER TABLE hooks ADD COLUMN url_since BIGINT NOT NULL DEFAULT 0;
UPDATE hooks SET url_since = created_at;

-- Pages by key within a group.
DROP INDEX projects_by_group;
CREATE INDEX projects_by_group ON projects (group_id, id);
DROP INDEX groups_by_parent;
CREATE INDEX groups_by_parent ON groups (parent_id, id);

-- The events of a project or group, page by page. What was only received lies in no place of ours.
CREATE INDEX events_by_place ON events (place_kind, place_id, id) WHERE place_kind <> 0;

-- The administrator's token that settings or a file give: it is replaced there, and not here.
ALTER TABLE access_tokens ADD COLUMN is_root BOOLEAN NOT NULL DEFAULT false;
UPDATE access_tokens SET is_root = TRUE WHERE user_id = 1 AND name = 'root token';
