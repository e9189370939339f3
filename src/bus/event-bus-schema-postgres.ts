/**
 * The tables of the event bus in PostgreSQL, and the function that writes messages.
 *
 * Invariants
 * 1. Offsets of a partition have no gaps, and commits happen in the order of offsets. For that, a publisher locks the
 *    rows of its partitions from taking offsets until its commit. So a reader at an offset has missed nothing below it.
 * 2. Publishers never deadlock, because each locks its partitions in ascending order.
 *
 * Keys are bytes and headers are `json` (not `jsonb`), so that every JavaScript string passes, as through Kafka.
 */
import type pg from 'pg';
import { FStoreError } from '../errors.js';

/** Increase it with every change of the statements below. The comment of the schema stores it. */
const VERSION = 1;

/** Channel of notifications that name the partitions that grew, and their topic: `0,3 transactions`. */
export const GROWTH_CHANNEL = 'fstore_bus_growth';

// `partitions` and `positions` are updated often. Free space in their pages (fillfactor) keeps updates out of indexes.
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
 * Creates missing tables. Several processes may call it at once. If the tables exist, it needs no right to create.
 * Throws DATA_TOO_NEW.
 */
export async function prepareBusSchema(client: pg.ClientBase): Promise<void> {
  const installed = await installedVersion(client);
  if (installed > VERSION) {
    const message = `schema fstore_bus has version ${installed}, and this FStore knows versions up to ${VERSION}`;
    throw new FStoreError('DATA_TOO_NEW', message);
  }
  if (installed === VERSION) return;
  await client.query('BEGIN');
  try {
    // Concurrent CREATE … IF NOT EXISTS statements can fail, so a lock serializes them.
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('fstore_bus schema', 0))`);
    if ((await installedVersion(client)) < VERSION) await client.query(STATEMENTS);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}
