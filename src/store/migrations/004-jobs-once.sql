-- What may be done once and never again, whatever became of it: one due time of a schedule.
ALTER TABLE jobs ADD COLUMN once text;
CREATE UNIQUE INDEX jobs_once ON jobs (kind, once) WHERE once IS NOT NULL;
-- The last job of a key, found among however many of others; a heartbeat changes no column of it.
CREATE INDEX jobs_by_key ON jobs (kind, key, id) WHERE key IS NOT NULL;
