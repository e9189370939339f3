-- The id of a job that clients see: a UUIDv7 (RFC 9562) of the time when the job was created. The column `id` stays
-- inside FStore: it orders the queue and numbers the runs of a source.

-- Returns a UUIDv7: 48 bits with the milliseconds since 1970, the version, the variant, and 74 random bits.
-- The random bits are those of a UUIDv4. Bits 52 and 53 turn its version from 4 into 7.
CREATE FUNCTION uuid_of_time(instant timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(
    set_bit(
      set_bit(
        overlay(
          uuid_send(gen_random_uuid())
          PLACING substring(int8send(floor(extract(epoch FROM instant) * 1000)::bigint) FROM 3) FROM 1 FOR 6
        ),
        52, 1
      ),
      53, 1
    ),
    'hex'
  )::uuid
$$;

ALTER TABLE jobs ADD COLUMN uuid uuid;
UPDATE jobs SET uuid = uuid_of_time(created_at);
ALTER TABLE jobs ALTER COLUMN uuid SET NOT NULL, ALTER COLUMN uuid SET DEFAULT uuid_of_time(now());
CREATE UNIQUE INDEX jobs_by_uuid ON jobs (uuid);
