-- The history of one project; run with its schema as search_path.

-- Every usable event, as it arrived. The key makes a second arrival of one offset impossible; two sources may read one topic.
CREATE TABLE event_log (
  source text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  event_time timestamptz(3) NOT NULL,
  payload json NOT NULL,
  arrived_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source, topic, partition, "offset")
);

-- How far each topic has been taken in: written in the transaction that takes it in.
CREATE TABLE consumed_offsets (
  consumer text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  PRIMARY KEY (consumer, topic, partition)
);

-- Events that could not be used.
CREATE TABLE dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  code text NOT NULL,
  message text NOT NULL,
  field text,
  payload bytea NOT NULL,
  arrived_at timestamptz NOT NULL DEFAULT now(),
  replayed_at timestamptz,
  UNIQUE (source, topic, partition, "offset")
);
CREATE INDEX dead_letters_by_source ON dead_letters (source, id DESC);

-- Entities with rows whose event time had not come when they were committed.
CREATE TABLE due_rows (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  view_table text NOT NULL,
  key_parts text[] NOT NULL,
  event_time timestamptz(3) NOT NULL
);
CREATE INDEX due_rows_by_time ON due_rows (event_time);

-- Views that have taken over what the event log had when they began, and the revision at which they began.
CREATE TABLE fills (
  view_table text PRIMARY KEY,
  source text NOT NULL,
  revision integer NOT NULL,
  filled_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX fills_by_source ON fills (source, revision DESC);
