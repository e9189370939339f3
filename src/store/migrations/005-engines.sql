-- Views that another engine than the built-in processor computes, and what that engine has computed and FStore has not merged yet.

-- Who computes a view from its source's stream, and the revision at which that began. No row: the built-in processor.
CREATE TABLE engines (
  view_table text PRIMARY KEY,
  source text NOT NULL,
  engine text NOT NULL,
  revision integer NOT NULL
);
CREATE INDEX engines_by_source ON engines (source, revision DESC);

-- First offset of each partition that a view has not had, where the view does not simply stand where its source stands:
-- while another engine computes it, and after that until the built-in processor has come as far.
CREATE TABLE view_positions (
  view_table text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  PRIMARY KEY (view_table, topic, partition)
);

-- Runs of other engines. Only the run of the newest epoch may seal.
CREATE TABLE engine_runs (
  stream text PRIMARY KEY,
  epoch bigint NOT NULL,
  topic text,
  -- Whether a run wants to know if its plan is the newest: NULL, 'asked', 'answered'.
  question text
);

-- What a run has computed, as JSON; worth nothing until its batch is sealed.
CREATE TABLE staged_batches (
  id bigint GENERATED ALWAYS AS IDENTITY,
  stream text NOT NULL,
  epoch bigint NOT NULL,
  batch bigint NOT NULL,
  view_table text NOT NULL,
  kind text NOT NULL,
  content text NOT NULL
);
CREATE UNIQUE INDEX staged_batches_by_id ON staged_batches (id);
CREATE INDEX staged_batches_by_batch ON staged_batches (stream, epoch, batch);

-- Batches that are whole, in the order in which they are merged.
CREATE TABLE sealed_batches (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  stream text NOT NULL,
  epoch bigint NOT NULL,
  batch bigint NOT NULL,
  -- Places in the order of arrival that its rows take at most.
  size integer NOT NULL,
  events bigint NOT NULL,
  unusable bigint NOT NULL,
  newest bigint,
  sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  merged_at timestamptz,
  UNIQUE (stream, epoch, batch)
);

-- Declares a batch whole, and moves the positions of its views, in one step. Refused for a run that is not the newest (FS001), and for
-- one that is wrong about where a view stands (FS002).
CREATE FUNCTION seal_staged_batch(sealed json) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  run engine_runs%ROWTYPE;
  step record;
BEGIN
  SELECT * INTO run FROM engine_runs WHERE stream = sealed->>'stream' FOR SHARE;
  IF run.epoch IS DISTINCT FROM (sealed->>'epoch')::bigint THEN
    RAISE EXCEPTION 'another run has taken over %', sealed->>'stream' USING ERRCODE = 'FS001';
  END IF;
  FOR step IN
    SELECT views.key AS view_table, places.key::integer AS partition, (places.value->>'from')::bigint AS since,
      (places.value->>'to')::bigint AS until
    FROM json_each(sealed->'positions') AS views CROSS JOIN LATERAL json_each(views.value) AS places
    ORDER BY 1, 2
  LOOP
    INSERT INTO view_positions (view_table, topic, partition, next_offset)
    VALUES (step.view_table, run.topic, step.partition, 0) ON CONFLICT DO NOTHING;
    UPDATE view_positions SET next_offset = step.until
    WHERE view_table = step.view_table AND topic = run.topic AND partition = step.partition AND next_offset = step.since;
    IF NOT FOUND THEN
      RAISE EXCEPTION '% does not stand at % in partition %', step.view_table, step.since, step.partition USING ERRCODE = 'FS002';
    END IF;
  END LOOP;
  INSERT INTO sealed_batches (stream, epoch, batch, size, events, unusable, newest)
  VALUES (sealed->>'stream', run.epoch, (sealed->>'batch')::bigint, (sealed->>'size')::integer, (sealed->>'events')::bigint,
    (sealed->>'unusable')::bigint, (sealed->>'newest')::bigint);
END $$;

-- True once somebody who has asked the registry has said that the run's definitions are the newest; until then, asks.
CREATE FUNCTION ask_revision(run_stream text, run_epoch bigint, needed integer) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  run engine_runs%ROWTYPE;
BEGIN
  SELECT * INTO run FROM engine_runs WHERE stream = run_stream FOR UPDATE;
  IF run.epoch IS DISTINCT FROM run_epoch THEN
    RAISE EXCEPTION 'another run has taken over %', run_stream USING ERRCODE = 'FS001';
  END IF;
  UPDATE engine_runs SET question = CASE WHEN run.question = 'answered' THEN NULL ELSE 'asked' END WHERE stream = run_stream;
  RETURN run.question IS NOT DISTINCT FROM 'answered';
END $$;

CREATE FUNCTION stream_epoch(run_stream text) RETURNS bigint LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT epoch FROM engine_runs WHERE stream = run_stream
$$;
