/** Dead letters in PostgreSQL: written with their batch, listed, and passed to a replay at most once. */
import type pg from 'pg';
import type { CommitBatch, DeadLetter, NewDeadLetter } from './offline-store.js';

interface LetterRecord {
  id: string;
  source: string;
  topic: string;
  partition: number;
  offset: string;
  code: string;
  message: string;
  field: string | null;
  payload: Buffer;
  arrived_at: Date;
  replayed_at: Date | null;
}

function toLetter({ offset, arrived_at, replayed_at, ...record }: LetterRecord): DeadLetter {
  return { ...record, offset: BigInt(offset), arrivedAt: arrived_at, replayedAt: replayed_at };
}

/** Writes the dead letters of a batch. Removes U+0000 from messages, because PostgreSQL cannot store it in a text. */
export async function writeDeadLetters(
  client: pg.PoolClient,
  schema: string,
  { source, topic, partition }: Pick<CommitBatch, 'source' | 'topic' | 'partition'>,
  letters: readonly NewDeadLetter[],
): Promise<void> {
  if (letters.length === 0) return;
  const text = (value: string | null): string | null => value?.replaceAll('\u0000', '') ?? null;
  await client.query(
    `INSERT INTO ${schema}.dead_letters (source, topic, partition, "offset", code, message, field, payload)
     SELECT $1, $2, $3, * FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::bytea[])`,
    [
      source,
      topic,
      partition,
      letters.map((letter) => `${letter.offset}`),
      letters.map((letter) => letter.code),
      letters.map((letter) => text(letter.message)),
      letters.map((letter) => text(letter.field)),
      letters.map((letter) => letter.payload),
    ],
  );
}

/** Returns the newest dead letters of one source, or of all sources. */
export async function listDeadLetters(
  pool: pg.Pool,
  schema: string,
  source: string | null,
  limit: number,
): Promise<DeadLetter[]> {
  const { rows } = await pool.query<LetterRecord>(
    `SELECT * FROM ${schema}.dead_letters WHERE $1::text IS NULL OR source = $1 ORDER BY id DESC LIMIT $2`,
    [source, limit],
  );
  return rows.map(toLetter);
}

/**
 * Marks letters that were not replayed yet and passes them to `publish`, in the caller's transaction. Returns how many
 * there were.
 */
export async function replayDeadLetters(
  client: pg.PoolClient,
  schema: string,
  ids: readonly string[],
  publish: (letters: readonly DeadLetter[]) => Promise<void>,
): Promise<number> {
  const numbers = ids.filter((id) => /^\d{1,18}$/.test(id));
  const { rows } = await client.query<LetterRecord>(
    `UPDATE ${schema}.dead_letters SET replayed_at = now() WHERE id = ANY($1::bigint[]) AND replayed_at IS NULL RETURNING *`,
    [numbers],
  );
  const letters = rows.map(toLetter).sort((a, b) => Number(BigInt(a.id) - BigInt(b.id)));
  if (letters.length > 0) await publish(letters);
  return letters.length;
}
