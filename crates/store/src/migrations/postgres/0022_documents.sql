-- What people wrote as a whole, and what is small and changed as a whole. A change names the version that it was made from.
CREATE TABLE documents (
    name TEXT PRIMARY KEY NOT NULL,
    version BIGINT NOT NULL,
    document BYTEA NOT NULL
);
INSERT INTO documents SELECT 'roster', version, document FROM roster;
DROP TABLE roster;
-- What is counted so far was counted by the first version of the definitions.
INSERT INTO documents SELECT 'definitions', 1, '[1]' WHERE EXISTS (SELECT 1 FROM insights_projects);
