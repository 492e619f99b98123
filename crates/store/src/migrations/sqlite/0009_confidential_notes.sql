-- Whether confidential_note_events was ever set: a project's hook shows null until then. Hooks from before go on as they were.
ALTER TABLE hooks ADD COLUMN confidential_notes_set INTEGER NOT NULL DEFAULT 0 CHECK (confidential_notes_set IN (0, 1));
UPDATE hooks SET confidential_notes_set = 1;
