-- Which instance each receiver is for, the default one (number 1) too: an address, or the word any. No row: it is not known yet.
CREATE TABLE receiver_instances (
    receiver_id INTEGER PRIMARY KEY NOT NULL,
    instance TEXT NOT NULL
);
-- Receivers that are there already go on taking what they took, so that no event is lost by an upgrade. An administrator can narrow them.
INSERT INTO receiver_instances (receiver_id, instance)
    SELECT id, 'any' FROM receivers UNION SELECT 1, 'any' WHERE EXISTS (SELECT 1 FROM known_projects);
CREATE TRIGGER directory_instances_1 AFTER INSERT ON receiver_instances BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_instances_2 AFTER UPDATE ON receiver_instances BEGIN UPDATE directory SET version = version + 1; END;
CREATE TRIGGER directory_instances_3 AFTER DELETE ON receiver_instances BEGIN UPDATE directory SET version = version + 1; END;
