/** The log of events in PostgreSQL, and how far each consumer has taken in each partition. */
import type pg from 'pg';
import { FStoreError } from '../errors.js';
import { countedIn } from './intake-postgres.js';
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

/** Where a batch's consumer stands, and, by their tables, views that are ahead of it: another engine has computed them further. */
export interface Standing {
  readonly from: bigint;
  readonly ahead: ReadonlyMap<string, bigint>;
}

/**
 * Locks the position of a batch's consumer until the transaction ends, and returns it: whoever commits for the same
 * partition waits here, and sees what was committed before. Throws DEFINITIONS_STALE.
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
  // While the position is waited for, it may move, and then the new one is returned; no view is filled meanwhile.
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

/** Moves the position of a batch's consumer to the end of the batch, and counts what of the batch was new. */
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

/** Offsets of one partition, from the first to before the second. */
export interface LogStretch {
  readonly topic: string;
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
}

/** All logged events of a source, or those of one stretch, page by page, in the order of their places. */
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
