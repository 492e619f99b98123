-- Plain names: the author of a path sets it, a replay scans deliveries, events that cannot be read are set aside, and
-- tables of insights contain reported pushes and the numbers (iids) of received objects by their kind.
ALTER TABLE groups RENAME COLUMN path_chosen_by TO path_set_by;
ALTER TABLE projects RENAME COLUMN path_chosen_by TO path_set_by;
ALTER TABLE replays RENAME COLUMN looked_at TO scanned;
ALTER TABLE projection_poison RENAME TO projection_set_aside;
ALTER INDEX projection_poison_pkey RENAME TO projection_set_aside_pkey;
ALTER INDEX deliveries_lines RENAME TO deliveries_ordering_queues;
ALTER TABLE insights_told_pushes RENAME TO insights_reported_pushes;
ALTER INDEX insights_told_pushes_pkey RENAME TO insights_reported_pushes_pkey;
ALTER INDEX insights_told_pushes_by_time RENAME TO insights_reported_pushes_by_time;
ALTER TABLE insights_seen RENAME TO insights_received_iids;
ALTER TABLE insights_received_iids RENAME COLUMN metric TO kind;
ALTER INDEX insights_seen_pkey RENAME TO insights_received_iids_pkey;
