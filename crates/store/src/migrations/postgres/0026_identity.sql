-- Who chose the last change of a path: 0 whoever made it (an administrator, or a received event), 1 a member, 2 an administrator.
ALTER TABLE groups ADD COLUMN path_chosen_by SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN path_chosen_by SMALLINT NOT NULL DEFAULT 0;
-- A project here stands for one project of another instance. Where several were joined by one path, the first of them keeps it; the
-- others get a project of their own with their next event.
DELETE FROM known_projects k WHERE EXISTS (SELECT 1 FROM known_projects o WHERE o.project_id = k.project_id
    AND (o.instance, o.foreign_id) < (k.instance, k.foreign_id));
DROP INDEX known_projects_by_project;
CREATE UNIQUE INDEX known_projects_by_project ON known_projects (project_id);
-- Its path there, as last seen.
ALTER TABLE known_projects ADD COLUMN path TEXT NOT NULL DEFAULT '';
UPDATE known_projects k SET path = p.full_path FROM projects p WHERE p.id = k.project_id;
DROP TRIGGER directory_known ON known_projects;
CREATE TRIGGER directory_known AFTER INSERT OR UPDATE OR DELETE ON known_projects
    FOR EACH STATEMENT EXECUTE FUNCTION bump_directory();
-- The same for groups.
CREATE TABLE known_groups (
    instance TEXT NOT NULL,
    foreign_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    PRIMARY KEY (instance, foreign_id)
);
CREATE UNIQUE INDEX known_groups_by_group ON known_groups (group_id);
CREATE TRIGGER directory_known_groups AFTER INSERT OR UPDATE OR DELETE ON known_groups
    FOR EACH STATEMENT EXECUTE FUNCTION bump_directory();
