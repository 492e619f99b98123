-- Scopes of tokens beside reading and writing, the user for whom an administrator acted, and the scope of a replay.
ALTER TABLE access_tokens DROP COLUMN read_only;
UPDATE access_tokens SET scopes = 'api sudo' WHERE is_root;
ALTER TABLE audit ADD COLUMN behalf_user_id BIGINT;
ALTER TABLE audit ADD COLUMN behalf_username TEXT;
CREATE INDEX audit_by_behalf ON audit (behalf_user_id, id) WHERE behalf_user_id IS NOT NULL;
ALTER TABLE replays ADD COLUMN project_id BIGINT;
ALTER TABLE replays ADD COLUMN group_id BIGINT;
