-- SQLite only: here a lease stands with its delivery.
SELECT 1;
