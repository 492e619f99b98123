-- Texts anywhere in a name or a path, by runs of three characters. Shorter texts are names or paths as a whole.
CREATE VIRTUAL TABLE groups_search USING fts5 (name, full_path, content = groups, content_rowid = id, tokenize = trigram);
CREATE VIRTUAL TABLE projects_search USING fts5 (name, full_path, content = projects, content_rowid = id, tokenize = trigram);
CREATE VIRTUAL TABLE users_search USING fts5 (username, name, content = users, content_rowid = id, tokenize = trigram);
INSERT INTO groups_search (groups_search) VALUES ('rebuild');
INSERT INTO projects_search (projects_search) VALUES ('rebuild');
INSERT INTO users_search (users_search) VALUES ('rebuild');
CREATE INDEX groups_by_name ON groups (lower(name));
CREATE INDEX projects_by_name ON projects (lower(name));
CREATE INDEX users_by_name ON users (lower(name));

CREATE TRIGGER groups_search_1 AFTER INSERT ON groups BEGIN
    INSERT INTO groups_search (rowid, name, full_path) VALUES (new.id, new.name, new.full_path);
END;
CREATE TRIGGER groups_search_2 AFTER UPDATE OF name, full_path ON groups BEGIN
    INSERT INTO groups_search (groups_search, rowid, name, full_path) VALUES ('delete', old.id, old.name, old.full_path);
    INSERT INTO groups_search (rowid, name, full_path) VALUES (new.id, new.name, new.full_path);
END;
CREATE TRIGGER groups_search_3 AFTER DELETE ON groups BEGIN
    INSERT INTO groups_search (groups_search, rowid, name, full_path) VALUES ('delete', old.id, old.name, old.full_path);
END;

CREATE TRIGGER projects_search_1 AFTER INSERT ON projects BEGIN
    INSERT INTO projects_search (rowid, name, full_path) VALUES (new.id, new.name, new.full_path);
END;
CREATE TRIGGER projects_search_2 AFTER UPDATE OF name, full_path ON projects BEGIN
    INSERT INTO projects_search (projects_search, rowid, name, full_path) VALUES ('delete', old.id, old.name, old.full_path);
    INSERT INTO projects_search (rowid, name, full_path) VALUES (new.id, new.name, new.full_path);
END;
CREATE TRIGGER projects_search_3 AFTER DELETE ON projects BEGIN
    INSERT INTO projects_search (projects_search, rowid, name, full_path) VALUES ('delete', old.id, old.name, old.full_path);
END;

CREATE TRIGGER users_search_1 AFTER INSERT ON users BEGIN
    INSERT INTO users_search (rowid, username, name) VALUES (new.id, new.username, new.name);
END;
CREATE TRIGGER users_search_2 AFTER UPDATE OF username, name ON users BEGIN
    INSERT INTO users_search (users_search, rowid, username, name) VALUES ('delete', old.id, old.username, old.name);
    INSERT INTO users_search (rowid, username, name) VALUES (new.id, new.username, new.name);
END;
CREATE TRIGGER users_search_3 AFTER DELETE ON users BEGIN
    INSERT INTO users_search (users_search, rowid, username, name) VALUES ('delete', old.id, old.username, old.name);
END;
