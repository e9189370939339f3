/** The event log in PostgreSQL, and the offset of each consumer in each partition. */
import type pg from 'pg';
import { FStoreError } from '../errors.js';
import { countedIn } from './intake-postgres.js';
import type { CommitBatch, LoggedEvent } from './offline-store.js';

const PAGE = 2_000;

/** Locks a source until the transaction ends: commits share the lock, a fill holds it exclusively. */
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
 * The offset of a batch's consumer. `ahead` holds, by history table, larger offsets up to which another engine has
 * computed views.
 */
export interface Standing {
  readonly from: bigint;
  readonly ahead: ReadonlyMap<string, bigint>;
}

/**
 * Locks the offset of a batch's consumer until the transaction ends, and returns it. Other commits for the same
 * partition wait here and then see what this one committed. Throws DEFINITIONS_STALE if the source was filled or handed
 * over at a newer revision than the batch's.
 */
export async function lockOffset(
  client: pg.PoolClient,
  schema: string,
  { consumer, topic, partition, source, revision }: CommitBatch,
): Promise<Standing> {
  const place = [consumer, topic, partition];
  await lockSource(client, schema, source, 'shared');
  await client.query(
    `INSERT INTO ${schema}.consumed_offsets (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING`,
    place,
  );
  // If the offset changes while this statement waits for its row, the new offset is returned. No view is filled
  // meanwhile.
  const { rows } = await client.query<{ next_offset: string; filled: number; ahead: Record<string, string> | null }>(
    `SELECT c.next_offset,
       greatest((SELECT coalesce(max(revision), 0) FROM ${schema}.fills WHERE source = $4),
                (SELECT coalesce(max(revision), 0) FROM ${schema}.engines WHERE source = $4)) AS filled,
       (SELECT json_object_agg(p.view_table, p.next_offset::text) FROM ${schema}.view_positions AS p
        WHERE p.topic = $2 AND p.partition = $3 AND p.next_offset > c.next_offset) AS ahead
     FROM ${schema}.consumed_offsets AS c WHERE consumer = $1 AND c.topic = $2 AND c.partition = $3 FOR UPDATE OF c`,
    [...place, source],
  );
  const { next_offset, filled, ahead } = rows[0]!;
  if (filled > revision) {
    const message = `the batch is of revision ${revision}, source ${source} is at ${filled}`;
    throw new FStoreError('DEFINITIONS_STALE', message);
  }
  const places = Object.entries(ahead ?? {}).map(([view, offset]): [string, bigint] => [view, BigInt(offset)]);
  return { from: BigInt(next_offset), ahead: new Map(places) };
}

/** Sets the offset of a batch's consumer to the end of the batch, and counts the new events of the batch. */
export async function advanceOffset(
  client: pg.PoolClient,
  schema: string,
  { consumer, topic, partition, nextOffset }: CommitBatch,
  events: readonly LoggedEvent[],
  unusable: number,
): Promise<void> {
  const newest = events.reduce<number | null>((most, { eventTime }) => Math.max(most ?? eventTime, eventTime), null);
  await client.query(
    `UPDATE ${schema}.consumed_offsets AS c SET next_offset = $4, ${countedIn('c', '$5::bigint', '$6::bigint', '$7::timestamptz')}
     WHERE consumer = $1 AND topic = $2 AND partition = $3`,
    [
      consumer,
      topic,
      partition,
      `${nextOffset}`,
      events.length,
      unusable,
      newest === null ? null : new Date(newest).toISOString(),
    ],
  );
}

/** Writes the events of a batch to the log. */
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
 * Throws TOPIC_RECREATED if history has different events at offsets that were already written. Then the topic was
 * deleted and created again, and its new events would be mistaken for old ones. Only event times are compared, because
 * the text of an event may change with its definitions.
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

/** Offsets of one partition, from `from` to before `to`. */
export interface LogStretch {
  readonly topic: string;
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * Reads the logged events of a source, or of one range of offsets, page by page, in the order of topic, partition and
 * offset.
 */
export async function* loggedEvents(
  client: pg.PoolClient,
  schema: string,
  source: string,
  stretch?: LogStretch,
): AsyncGenerator<{ offset: string; payload: string }[]> {
  const within = stretch ? ' AND topic = $5 AND partition = $6 AND "offset" < $7' : '';
  const bounds = stretch ? [stretch.topic, stretch.partition, `${stretch.to}`] : [];
  let after: [topic: string, partition: number, offset: string] = stretch
    ? [stretch.topic, stretch.partition, `${stretch.from - 1n}`]
    : ['', -1, '-1'];
  for (;;) {
    const { rows } = await client.query<{ topic: string; partition: number; offset: string; payload: string }>(
      `SELECT topic, partition, "offset", payload::text AS payload FROM ${schema}.event_log
       WHERE source = $1 AND (topic, partition, "offset") > ($2, $3::integer, $4::bigint)${within}
       ORDER BY topic, partition, "offset" LIMIT ${PAGE}`,
      [source, ...after, ...bounds],
    );
    const last = rows.at(-1);
    if (!last) return;
    yield rows;
    after = [last.topic, last.partition, last.offset];
  }
}
