/**
 * The tables of the event bus in PostgreSQL, and the one statement that writes messages.
 *
 * Invariants
 * 1. Offsets of a partition are gapless, and the order of commits is the order of offsets: a publisher holds the rows of its
 *    partitions from the moment it takes offsets until its commit. So whoever has read up to an offset has missed nothing below.
 * 2. Publishers never wait for each other in a circle: each locks its partitions in ascending order.
 *
 * Keys are bytes and headers `json` (not `jsonb`), so that every string of JavaScript travels, as it does through Kafka.
 */
import type pg from 'pg';

/** Grows with every change of the statements below; kept as the comment of the schema. */
const VERSION = 1;

/** Carries the partitions that grew and their topic: `0,3 transactions`. */
export const GROWTH_CHANNEL = 'fstore_bus_growth';

// Rows of `partitions` and `positions` are updated all the time: room in the page keeps those updates out of the indexes.
const STATEMENTS = `
  CREATE SCHEMA IF NOT EXISTS fstore_bus;
  CREATE TABLE IF NOT EXISTS fstore_bus.topics (
    topic text COLLATE "C" PRIMARY KEY CHECK (length(topic) BETWEEN 1 AND 249),
    partitions integer NOT NULL CHECK (partitions > 0)
  );
  CREATE TABLE IF NOT EXISTS fstore_bus.partitions (
    topic text COLLATE "C" NOT NULL REFERENCES fstore_bus.topics,
    partition integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
  ) WITH (fillfactor = 50);
  CREATE TABLE IF NOT EXISTS fstore_bus.messages (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    value bytea NOT NULL,
    headers json NOT NULL,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
  );
  CREATE TABLE IF NOT EXISTS fstore_bus.positions (
    group_id text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (group_id, topic, partition)
  ) WITH (fillfactor = 50);
  CREATE OR REPLACE FUNCTION fstore_bus.publish(
    p_topic text, p_partitions integer[], p_keys bytea[], p_values bytea[], p_headers json[]
  ) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    written bigint;
  BEGIN
    PERFORM 1 FROM fstore_bus.partitions p
      WHERE p.topic = p_topic AND p.partition = ANY (p_partitions) ORDER BY p.partition FOR UPDATE;
    INSERT INTO fstore_bus.messages (topic, partition, "offset", key, value, headers, published_at)
      SELECT p_topic, m.partition,
        p.next_offset + row_number() OVER (PARTITION BY m.partition ORDER BY m.place) - 1,
        m.key, m.value, m.headers, clock_timestamp()
      FROM unnest(p_partitions, p_keys, p_values, p_headers) WITH ORDINALITY
        AS m (partition, key, value, headers, place)
      JOIN fstore_bus.partitions p ON p.topic = p_topic AND p.partition = m.partition;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> cardinality(p_partitions) THEN
      RAISE EXCEPTION 'topic "%" lacks a partition that was written to', p_topic;
    END IF;
    UPDATE fstore_bus.partitions p SET next_offset = p.next_offset + m.messages
      FROM (SELECT n.partition, count(*) AS messages FROM unnest(p_partitions) AS n (partition) GROUP BY 1) m
      WHERE p.topic = p_topic AND p.partition = m.partition;
    PERFORM pg_notify('${GROWTH_CHANNEL}', string_agg(DISTINCT n.partition::text, ',') || ' ' || p_topic)
      FROM unnest(p_partitions) AS n (partition);
  END $$;
  COMMENT ON SCHEMA fstore_bus IS '${VERSION}';
`;

async function installedVersion(client: pg.ClientBase): Promise<number> {
  const sql = `SELECT coalesce(obj_description(to_regnamespace('fstore_bus'), 'pg_namespace'), '0') AS version`;
  const { rows } = await client.query<{ version: string }>(sql);
  return Number(rows[0]?.version ?? 0);
}

/**
 * Creates what is missing. Any number of processes may do so at once; one that finds the tables needs no right to create.
 */
export async function prepareBusSchema(client: pg.ClientBase): Promise<void> {
  if ((await installedVersion(client)) >= VERSION) return;
  await client.query('BEGIN');
  try {
    // CREATE … IF NOT EXISTS is not safe against itself in another session.
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('fstore_bus schema', 0))`);
    if ((await installedVersion(client)) < VERSION) await client.query(STATEMENTS);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}
