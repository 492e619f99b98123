-- Texts anywhere in a name or a path, by runs of three characters. The extension comes with PostgreSQL and is one that the
-- owner of a database may create; another schema may have created it already, in a place of its choice.
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
DO $$
DECLARE place text;
BEGIN
    SELECT extnamespace::regnamespace INTO place FROM pg_extension WHERE extname = 'pg_trgm';
    EXECUTE format('CREATE INDEX groups_by_part ON groups USING gin (lower(name) %1$s.gin_trgm_ops, lower(full_path) %1$s.gin_trgm_ops)', place);
    EXECUTE format('CREATE INDEX projects_by_part ON projects USING gin (lower(name) %1$s.gin_trgm_ops, lower(full_path) %1$s.gin_trgm_ops)', place);
    EXECUTE format('CREATE INDEX users_by_part ON users USING gin (lower(username) %1$s.gin_trgm_ops, lower(name) %1$s.gin_trgm_ops)', place);
END $$;
