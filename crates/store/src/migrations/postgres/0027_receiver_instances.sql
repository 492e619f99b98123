-- Which instance each receiver is for, the default one (number 1) too: an address, or the word any. No row: it is not known yet.
CREATE TABLE receiver_instances (
    receiver_id BIGINT PRIMARY KEY NOT NULL,
    instance TEXT NOT NULL
);
-- Receivers that are there already go on taking what they took, so that no event is lost by an upgrade. An administrator can narrow them.
INSERT INTO receiver_instances (receiver_id, instance)
    SELECT id, 'any' FROM receivers UNION SELECT 1, 'any' WHERE EXISTS (SELECT 1 FROM known_projects);
CREATE TRIGGER directory_instances AFTER INSERT OR UPDATE OR DELETE ON receiver_instances
    FOR EACH STATEMENT EXECUTE FUNCTION bump_directory();
