/** The log of events in PostgreSQL, and how far each consumer has taken in each partition. */
import type pg from 'pg';
import type { CommitBatch, LoggedEvent } from './offline-store.js';

/**
 * Locks the position of a batch's consumer until the transaction ends, and returns it: whoever commits for the same
 * partition waits here, and sees what was committed before.
 */
export async function lockOffset(
  client: pg.PoolClient,
  schema: string,
  { consumer, topic, partition }: CommitBatch,
): Promise<bigint> {
  const place = [consumer, topic, partition];
  await client.query(
    `INSERT INTO ${schema}.consumed_offsets (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING`,
    place,
  );
  const { rows } = await client.query<{ next_offset: string }>(
    `SELECT next_offset FROM ${schema}.consumed_offsets WHERE consumer = $1 AND topic = $2 AND partition = $3 FOR UPDATE`,
    place,
  );
  return BigInt(rows[0]!.next_offset);
}

/** Moves the position of a batch's consumer to the end of the batch. */
export async function advanceOffset(
  client: pg.PoolClient,
  schema: string,
  { consumer, topic, partition, nextOffset }: CommitBatch,
): Promise<void> {
  await client.query(
    `UPDATE ${schema}.consumed_offsets SET next_offset = $4 WHERE consumer = $1 AND topic = $2 AND partition = $3`,
    [consumer, topic, partition, `${nextOffset}`],
  );
}

/** Writes events of a batch. */
export async function writeEvents(
  client: pg.PoolClient,
  schema: string,
  { source, topic, partition }: CommitBatch,
  events: readonly LoggedEvent[],
): Promise<void> {
  if (events.length === 0) return;
  await client.query(
    `INSERT INTO ${schema}.event_log (source, topic, partition, "offset", event_time, payload)
     SELECT $1, $2, $3, * FROM unnest($4::bigint[], $5::timestamptz[], $6::json[])`,
    [
      source,
      topic,
      partition,
      events.map((event) => `${event.offset}`),
      events.map((event) => new Date(event.eventTime).toISOString()),
      events.map((event) => event.payload),
    ],
  );
}
