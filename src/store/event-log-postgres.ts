/** The log of events in PostgreSQL, and how far each consumer has taken in each partition. */
import type pg from 'pg';
import { FStoreError } from '../errors.js';
import type { CommitBatch, LoggedEvent } from './offline-store.js';

const PAGE = 2_000;

/**
 * Keeps fills and commits of one source apart until the transaction ends: commits share the lock, a fill has it alone.
 */
export async function lockSource(
  client: pg.PoolClient,
  schema: string,
  source: string,
  mode: 'shared' | 'exclusive',
): Promise<void> {
  const lock = mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock';
  await client.query(`SELECT ${lock}(hashtextextended($1, 0))`, [`${schema} ${source}`]);
}

/**
 * Locks the position of a batch's consumer until the transaction ends, and returns it: whoever commits for the same
 * partition waits here, and sees what was committed before. Throws DEFINITIONS_STALE.
 */
export async function lockOffset(
  client: pg.PoolClient,
  schema: string,
  { consumer, topic, partition, source, revision }: CommitBatch,
): Promise<bigint> {
  const place = [consumer, topic, partition];
  await lockSource(client, schema, source, 'shared');
  await client.query(
    `INSERT INTO ${schema}.consumed_offsets (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING`,
    place,
  );
  // While the position is waited for, it may move, and then the new one is returned; no view is filled meanwhile.
  const { rows } = await client.query<{ next_offset: string; filled: number }>(
    `SELECT next_offset, (SELECT coalesce(max(revision), 0) FROM ${schema}.fills WHERE source = $4) AS filled
     FROM ${schema}.consumed_offsets WHERE consumer = $1 AND topic = $2 AND partition = $3 FOR UPDATE`,
    [...place, source],
  );
  const { next_offset, filled } = rows[0]!;
  if (filled > revision) {
    const message = `the batch is of revision ${revision}, source ${source} is at ${filled}`;
    throw new FStoreError('DEFINITIONS_STALE', message);
  }
  return BigInt(next_offset);
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

/**
 * Refuses events at offsets that were taken in before, if history has other events there: then the topic was deleted and
 * created again, and what follows would be taken for old. Event times tell; definitions, and with them the text of an event, may
 * have changed since. Throws TOPIC_RECREATED.
 */
export async function checkSameTopic(
  client: pg.PoolClient,
  schema: string,
  { source, topic, partition }: CommitBatch,
  taken: readonly LoggedEvent[],
): Promise<void> {
  if (taken.length === 0) return;
  const { rows } = await client.query<{ known: number; same: number }>(
    `SELECT count(*)::int AS known, count(*) FILTER (WHERE e.event_time = b.event_time)::int AS same
     FROM unnest($4::bigint[], $5::timestamptz[]) AS b("offset", event_time)
     JOIN ${schema}.event_log AS e ON e.source = $1 AND e.topic = $2 AND e.partition = $3 AND e."offset" = b."offset"`,
    [
      source,
      topic,
      partition,
      taken.map((event) => `${event.offset}`),
      taken.map((event) => new Date(event.eventTime).toISOString()),
    ],
  );
  const { known, same } = rows[0]!;
  if (known > 0 && same === 0) {
    const place = `${topic}/${partition}/${taken[0]!.offset}`;
    throw new FStoreError('TOPIC_RECREATED', `at ${place} history has another event`, { field: 'stream.topic' });
  }
}

/** All logged events of a source, page by page, in the order of their places. */
export async function* loggedEvents(
  client: pg.PoolClient,
  schema: string,
  source: string,
): AsyncGenerator<{ offset: string; payload: string }[]> {
  let after: [topic: string, partition: number, offset: string] = ['', -1, '-1'];
  for (;;) {
    const { rows } = await client.query<{ topic: string; partition: number; offset: string; payload: string }>(
      `SELECT topic, partition, "offset", payload::text AS payload FROM ${schema}.event_log
       WHERE source = $1 AND (topic, partition, "offset") > ($2, $3::integer, $4::bigint)
       ORDER BY topic, partition, "offset" LIMIT ${PAGE}`,
      [source, ...after],
    );
    const last = rows.at(-1);
    if (!last) return;
    yield rows;
    after = [last.topic, last.partition, last.offset];
  }
}
