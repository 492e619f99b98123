-- The signing token before the present one, which signs as well until a time.
ALTER TABLE hooks ADD COLUMN previous_signing_token BYTEA;
ALTER TABLE hooks ADD COLUMN previous_signing_until BIGINT;
