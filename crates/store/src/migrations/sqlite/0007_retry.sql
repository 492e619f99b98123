-- A retry policy of a hook's own: a preset, or pauses with commas between them.
ALTER TABLE hooks ADD COLUMN retry TEXT;
