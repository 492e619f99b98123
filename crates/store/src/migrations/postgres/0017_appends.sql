-- Batches of events in the order of their transactions, for those who follow the journal. A row's number is the id of its
-- transaction and this origin, which only moves when a dump was restored into a younger cluster: numbers never come again.
-- Retention empties the last batch that it takes and leaves its row, so that whoever comes from before it is told.
CREATE TABLE appends (
    number BIGINT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    events UUID[] NOT NULL
);
CREATE TABLE appends_origin (origin BIGINT NOT NULL);
INSERT INTO appends_origin VALUES (0);
