-- Which instance each receiver is for, the default one (number 1) too: an address, or the word any. No row: it is not known yet.
CREATE TABLE receiver_instances (
    receiver_id BIGINT PRIMARY KEY NOT NULL,
    instance TEXT NOT NULL
);
CREATE TRIGGER directory_instances AFTER INSERT OR UPDATE OR DELETE ON receiver_instances
    FOR EACH STATEMENT EXECUTE FUNCTION bump_directory();
