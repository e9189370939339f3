/** Counters of written events, in the rows of PostgreSQL that hold consumer offsets. */
import type pg from 'pg';
import { createPool, reachable } from './connection-postgres.js';
import type { EngineIntake, Intake, IntakeLedger } from './intake.js';

/**
 * Returns assignments for an UPDATE that count events into a row named `row`. `events` and `unusable` are counts and
 * `newest` is the greatest event time, each an SQL expression. The clock is PostgreSQL's, and a row's time never goes
 * back.
 */
export function countedIn(row: string, events: string, unusable: string, newest: string): string {
  const [last, current] = [`date_trunc('minute', ${row}.moved_at)`, `date_trunc('minute', now())`];
  return `events = ${row}.events + ${events}, unusable = ${row}.unusable + ${unusable}, newest = greatest(${row}.newest, ${newest}),
    moved_at = greatest(${row}.moved_at, now()),
    earlier_events = CASE WHEN ${last} >= ${current} THEN ${row}.earlier_events
      WHEN ${last} = ${current} - interval '1 minute' THEN ${row}.minute_events ELSE 0 END,
    minute_events = CASE WHEN ${last} >= ${current} THEN ${row}.minute_events ELSE 0 END + ${events}`;
}

/** The share of the previous minute that lies within the last 60 seconds. */
const EARLIER_SHARE = `(1 - extract(epoch FROM now() - date_trunc('minute', now())) / 60)`;
const PER_MINUTE = `CASE date_trunc('minute', now()) - date_trunc('minute', least(moved_at, now()))
  WHEN interval '0' THEN minute_events + earlier_events * ${EARLIER_SHARE}
  WHEN interval '1 minute' THEN minute_events * ${EARLIER_SHARE} ELSE 0 END`;
const COUNTS = `coalesce(sum(events), 0)::float8 AS events, coalesce(sum(unusable), 0)::float8 AS unusable,
  coalesce(sum(${PER_MINUTE}), 0)::float8 AS per_minute,
  extract(epoch FROM max(newest))::float8 * 1000 AS newest, extract(epoch FROM max(moved_at))::float8 * 1000 AS moved_at`;

interface CountRow {
  readonly name: string;
  readonly events: number;
  readonly unusable: number;
  readonly per_minute: number;
  readonly newest: number | null;
  readonly moved_at: number | null;
}

function intakeOf({ events, unusable, newest, moved_at, per_minute }: CountRow): Intake {
  const instant = (time: number | null): number | null => (time === null ? null : Math.round(time));
  return { events, unusable, newest: instant(newest), movedAt: instant(moved_at), perMinute: per_minute };
}

/** Where the counters are. */
export interface PostgresIntakeOptions {
  readonly url: string;
  readonly project: string;
  readonly log?: (level: 'warn', message: string, fields?: Record<string, unknown>) => void;
}

/**
 * Returns a ledger that connects at the first call, with connections of its own apart from those of reads and commits.
 */
export function connectPostgresIntake({ url, project, log }: PostgresIntakeOptions): IntakeLedger {
  const onError = (error: Error): void =>
    log?.('warn', 'a connection to PostgreSQL was lost', { error: error.message });
  return new PostgresIntake(createPool({ url, size: 2, statementTimeout: 5_000, onError }), `"fstore_${project}"`);
}

class PostgresIntake implements IntakeLedger {
  readonly #pool: pg.Pool;
  readonly #schema: string;

  constructor(pool: pg.Pool, schema: string) {
    this.#pool = pool;
    this.#schema = schema;
  }

  async ofConsumers(consumers: readonly string[]): Promise<ReadonlyMap<string, Intake>> {
    const rows = await this.#query<CountRow>(
      `SELECT consumer AS name, ${COUNTS} FROM ${this.#schema}.consumed_offsets WHERE consumer = ANY($1) GROUP BY consumer`,
      consumers,
    );
    return new Map(rows.map((row) => [row.name, intakeOf(row)]));
  }

  async ofEngines(streams: readonly string[]): Promise<ReadonlyMap<string, EngineIntake>> {
    const rows = await this.#query<CountRow & { unmerged: number }>(
      `SELECT r.stream AS name, ${COUNTS}, coalesce((SELECT sum(s.events + s.unusable) FROM ${this.#schema}.sealed_batches AS s
         WHERE s.stream = r.stream AND s.merged_at IS NULL), 0)::float8 AS unmerged
       FROM ${this.#schema}.engine_runs AS r LEFT JOIN ${this.#schema}.engine_intake USING (stream)
       WHERE r.stream = ANY($1) GROUP BY r.stream`,
      streams,
    );
    return new Map(rows.map((row) => [row.name, { ...intakeOf(row), unmerged: row.unmerged }]));
  }

  async viewPositions(
    views: readonly { readonly table: string; readonly topic: string }[],
  ): Promise<ReadonlyMap<string, ReadonlyMap<number, bigint>>> {
    // If a source has moved to another topic, its views have offsets in the old topic too.
    const rows = await this.#query<{ view_table: string; places: Record<string, string> }>(
      `SELECT view_table, json_object_agg(partition, next_offset::text) AS places
       FROM ${this.#schema}.view_positions JOIN unnest($1::text[], $2::text[]) AS v (view_table, topic) USING (view_table, topic)
       GROUP BY view_table`,
      views.map(({ table }) => table),
      views.map(({ topic }) => topic),
    );
    return new Map(
      rows.map(({ view_table, places }) => [
        view_table,
        new Map(Object.entries(places).map(([partition, offset]) => [Number(partition), BigInt(offset)])),
      ]),
    );
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #query<Row extends pg.QueryResultRow>(sql: string, ...lists: readonly (readonly string[])[]): Promise<Row[]> {
    if (lists[0]!.length === 0) return [];
    return (await reachable(() => this.#pool.query<Row>(sql, [...lists]))).rows;
  }
}
