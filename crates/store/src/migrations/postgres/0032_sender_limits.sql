-- The maximum number of requests a minute with a valid credential. Sources without a limit stay without one.
ALTER TABLE sources ADD COLUMN sender_per_minute BIGINT;
UPDATE sources SET sender_per_minute = greatest(per_minute, 6000) WHERE per_minute IS NOT NULL;
