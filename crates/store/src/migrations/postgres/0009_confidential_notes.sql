-- Whether confidential_note_events was ever set: a project's hook shows null until then. Hooks from before go on as they were.
ALTER TABLE hooks ADD COLUMN confidential_notes_set BOOLEAN NOT NULL DEFAULT false;
UPDATE hooks SET confidential_notes_set = true;
