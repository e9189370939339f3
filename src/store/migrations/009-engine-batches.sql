-- What another engine has made of all rows of a table: sealed whole or not at all, and merged batch by batch.

-- Number of a piece within its batch, so that a task which Spark repeats cannot stage anything twice.
ALTER TABLE staged_batches ADD COLUMN piece bigint;
CREATE UNIQUE INDEX staged_batches_by_piece ON staged_batches (stream, epoch, batch, view_table, kind, piece);
DROP INDEX staged_batches_by_batch;

-- The run that was sealed last, and what it came to: it is not computed again.
ALTER TABLE engine_runs ADD COLUMN sealed_run bigint, ADD COLUMN sealed_total json;

-- Where rows of a batch are in the log of events: source, consumer, topic, partition; and the clock that they were judged by. NULL: they
-- are logged by somebody else.
ALTER TABLE sealed_batches ADD COLUMN place json;

-- Declares all batches of a run whole in one step. Refused for a run that is not the newest (FS001), and for one whose definitions are
-- older than a view which takes its rows (FS003).
CREATE FUNCTION seal_staged_run(sealed json) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  run engine_runs%ROWTYPE;
  place json := sealed->'place';
BEGIN
  -- The lock of event-log-postgres.ts: a view that is filled meanwhile has it alone.
  PERFORM pg_advisory_xact_lock_shared(hashtextextended(format('"%s" %s', current_schema(), place->>'source'), 0));
  SELECT * INTO run FROM engine_runs WHERE stream = sealed->>'stream' FOR UPDATE;
  IF run.epoch IS DISTINCT FROM (sealed->>'epoch')::bigint THEN
    RAISE EXCEPTION 'another run has taken over %', sealed->>'stream' USING ERRCODE = 'FS001';
  END IF;
  IF EXISTS (SELECT FROM fills WHERE source = place->>'source' AND revision > (sealed->>'revision')::integer) THEN
    RAISE EXCEPTION 'a view of % is newer than this run', place->>'source' USING ERRCODE = 'FS003';
  END IF;
  INSERT INTO sealed_batches (stream, epoch, batch, size, events, unusable, newest, place)
  SELECT run.stream, run.epoch, batch, size, events, unusable, newest, place
  FROM json_to_recordset(sealed->'batches') AS b(batch bigint, size integer, events bigint, unusable bigint, newest bigint)
  ORDER BY batch;
  UPDATE engine_runs SET sealed_run = (place->>'partition')::bigint, sealed_total = sealed->'total' WHERE stream = run.stream;
END $$;
