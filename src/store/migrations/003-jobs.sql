-- Long work: queued, leased to one process at a time, and kept when it has ended.
CREATE TABLE jobs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  key text,
  status text NOT NULL DEFAULT 'QUEUED' CHECK (status IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
  -- json and not jsonb: it gives back what was stored, U+0000 included.
  request json NOT NULL,
  progress json NOT NULL DEFAULT '{"done":0,"total":null}',
  checkpoint json,
  result json,
  error json,
  attempts integer NOT NULL DEFAULT 0,
  cancel_requested boolean NOT NULL DEFAULT false,
  -- Stays when the job has succeeded or failed, so that its owner may say so twice.
  lease_owner text,
  lease_until timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz
);
-- What is asked for twice a second, by every process; a heartbeat changes no column of an index.
CREATE INDEX jobs_unfinished ON jobs (id) WHERE status IN ('QUEUED', 'RUNNING');
CREATE UNIQUE INDEX jobs_unfinished_by_key ON jobs (kind, key) WHERE status IN ('QUEUED', 'RUNNING');
