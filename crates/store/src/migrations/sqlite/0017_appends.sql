-- Batches of events in the order in which they were committed, for those who follow the journal. `events` holds their ids
-- one behind the other. Retention empties the last batch that it takes and leaves its row: numbers never come again, and
-- whoever comes from before it is told.
CREATE TABLE appends (
    number INTEGER PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL,
    events BLOB NOT NULL
);
