-- Plain names: pushes that were reported afterwards, and the numbers (iids) of received objects by their kind.
ALTER TABLE insights_told_pushes RENAME TO insights_reported_pushes;
ALTER TABLE insights_seen RENAME TO insights_received_iids;
ALTER TABLE insights_received_iids RENAME COLUMN metric TO kind;
-- SQLite cannot rename an index.
DROP INDEX insights_told_pushes_by_time;
CREATE INDEX insights_reported_pushes_by_time ON insights_reported_pushes (at);
