-- Filters on what events say, as JSON; and the numbers of the hooks whose filter stopped an event when it arrived.
ALTER TABLE hooks ADD COLUMN event_filter TEXT;
ALTER TABLE events ADD COLUMN filtered TEXT;
