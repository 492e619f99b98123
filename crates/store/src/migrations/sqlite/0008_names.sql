-- One name for each thing: a number about a team is a metric.
ALTER TABLE insights_seen RENAME COLUMN measure TO metric;
