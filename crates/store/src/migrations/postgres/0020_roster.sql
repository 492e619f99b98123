-- Who is who, as one document. A change names the version that it was made from.
CREATE TABLE roster (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    version BIGINT NOT NULL,
    document BYTEA NOT NULL
);
