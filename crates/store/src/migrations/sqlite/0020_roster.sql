-- Who is who, as one document: people wrote it, so it is in the main file. A change names the version that it was made from.
CREATE TABLE roster (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    version INTEGER NOT NULL,
    document BLOB NOT NULL
);
