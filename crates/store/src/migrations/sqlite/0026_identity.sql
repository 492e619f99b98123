-- Who chose the last change of a path: 0 whoever made it (an administrator, or a received event), 1 a member, 2 an administrator.
ALTER TABLE groups ADD COLUMN path_chosen_by INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN path_chosen_by INTEGER NOT NULL DEFAULT 0;
-- A project here stands for one project of another instance. Where several were joined by one path, the first of them keeps it; the
-- others get a project of their own with their next event.
DELETE FROM known_projects WHERE EXISTS (SELECT 1 FROM known_projects o WHERE o.project_id = known_projects.project_id
    AND (o.instance, o.foreign_id) < (known_projects.instance, known_projects.foreign_id));
DROP INDEX known_projects_by_project;
CREATE UNIQUE INDEX known_projects_by_project ON known_projects (project_id);
-- Its path there, as last seen.
ALTER TABLE known_projects ADD COLUMN path TEXT NOT NULL DEFAULT '';
UPDATE known_projects SET path = (SELECT p.full_path FROM projects p WHERE p.id = known_projects.project_id);
CREATE TRIGGER directory_known_3 AFTER UPDATE ON known_projects BEGIN UPDATE directory SET version = version + 1; END;
-- The same for groups.
CREATE TABLE known_groups (
    instance TEXT NOT NULL,
    foreign_id INTEGER NOT NULL,
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    PRIMARY KEY (instance, foreign_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX known_groups_by_group ON known_groups (group_id);
CREATE TRIGGER directory_known_groups_1 AFTER INSERT ON known_groups BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_known_groups_2 AFTER UPDATE ON known_groups BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_known_groups_3 AFTER DELETE ON known_groups BEGIN UPDATE directory SET version = version + 1; END;
