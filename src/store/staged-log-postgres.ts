/** Writes the rows that another engine has read from a table to the event log and the dead letters. */
import type pg from 'pg';
import { FStoreError } from '../errors.js';
import { instantOf } from './column-postgres.js';
import { writeDeadLetters } from './dead-letter-postgres.js';
import { countedIn } from './intake-postgres.js';
import type { StagedBatches } from './staged-batches.js';
import type { TableRun } from './table-run.js';

/**
 * Where the rows of a batch go in the event log, and the time (milliseconds since 1970) that they were checked against.
 */
export interface SealedPlace {
  readonly source: string;
  readonly consumer: string;
  readonly topic: string;
  readonly partition: number;
  readonly now: number;
}

/** A sealed batch as PostgreSQL returns it; bigint columns are text. */
export interface SealedBatch {
  readonly id: string;
  readonly stream: string;
  readonly epoch: string;
  readonly batch: string;
  readonly size: number;
  readonly events: string;
  readonly unusable: string;
  readonly newest: string | null;
  /** Null for a batch of a stream, whose events FStore's own consumer logs. */
  readonly place: SealedPlace | null;
}

/** Throws BATCH_CHANGED if rows were already written under the number of the run. */
export async function startTable(
  client: pg.PoolClient,
  schema: string,
  { consumer, topic, run }: TableRun,
): Promise<void> {
  const { rows } = await client.query<{ written: string }>(
    `SELECT next_offset AS written FROM ${schema}.consumed_offsets
     WHERE consumer = $1 AND topic = $2 AND partition = $3 AND next_offset > 0`,
    [consumer, topic, run],
  );
  if (rows.length === 0) return;
  const message = `the built-in engine has begun a run, and written ${rows[0]!.written} rows; let it end the run with \`engine: builtin\`, and change over then`;
  throw new FStoreError('BATCH_CHANGED', message, { field: 'batch.engine' });
}

/** Logs the rows of a batch at the next offsets of its consumer, and writes its unusable rows as dead letters. */
export async function logStaged(
  client: pg.PoolClient,
  schema: string,
  { stream, epoch, batch, size, events, unusable, newest }: SealedBatch,
  { source, consumer, topic, partition, now }: SealedPlace,
  bury: Parameters<StagedBatches['merge']>[2],
): Promise<void> {
  const { rows } = await client.query<{ next_offset: string }>(
    `INSERT INTO ${schema}.consumed_offsets AS c (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, $4)
     ON CONFLICT (consumer, topic, partition) DO UPDATE SET next_offset = c.next_offset + excluded.next_offset RETURNING next_offset`,
    [consumer, topic, partition, size],
  );
  const first = BigInt(rows[0]!.next_offset) - BigInt(size);
  const staged = `${schema}.staged_batches CROSS JOIN LATERAL json_to_recordset(content::json)`;
  const where = `stream = $1 AND epoch = $2 AND batch = $3 AND kind =`;
  const of = [stream, epoch, batch];
  await client.query(
    `INSERT INTO ${schema}.event_log (source, topic, partition, "offset", event_time, payload)
     SELECT $4, $5, $6::integer, $7::bigint + _n, ${instantOf('_ms')}, e
     FROM ${staged} AS r(_n integer, _ms bigint, e json) WHERE ${where} 'log' ORDER BY _n`,
    [...of, source, topic, partition, `${first}`],
  );
  if (Number(unusable) > 0) {
    const found = await client.query<{ n: number; payload: Buffer }>(
      `SELECT _n AS n, decode(p, 'base64') AS payload FROM ${staged} AS r(_n integer, p text) WHERE ${where} 'unusable' ORDER BY _n`,
      of,
    );
    const letters = found.rows.map(({ n, payload }) => ({ offset: first + BigInt(n), payload }));
    const place = { source, topic, partition };
    await writeDeadLetters(client, schema, place, await bury({ ...place, now, rows: letters }));
  }
  const counted = countedIn('c', '$4::bigint', '$5::bigint', '$6::timestamptz');
  await client.query(
    `UPDATE ${schema}.consumed_offsets AS c SET ${counted} WHERE consumer = $1 AND topic = $2 AND partition = $3`,
    [
      ...[consumer, topic, partition, events, unusable],
      newest === null ? null : new Date(Number(newest)).toISOString(),
    ],
  );
}

/** Throws ENGINE_BUSY while a sealed batch of a source is not merged, because its rows are not in the log yet. */
export async function refuseUnmerged(client: pg.PoolClient, schema: string, source: string): Promise<void> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM ${schema}.sealed_batches WHERE merged_at IS NULL AND place->>'source' = $1 LIMIT 1`,
    [source],
  );
  if (rowCount) throw new FStoreError('ENGINE_BUSY', `what was computed of source ${source} is not merged yet`);
}
