-- How many attempts each claimed delivery had had, four bytes each: a claim that is left over tells by this, and not by any
-- clock, what was recorded.
ALTER TABLE leases ADD COLUMN attempts BLOB;
