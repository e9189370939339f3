/**
 * The tables of an aggregation view besides its history: tiles, and a heads row for each entity with its version and
 * newest event time.
 *
 * Invariants
 * 1. A transaction that changes tiles of an entity locks the entity's heads row until it ends, and raises the version.
 *    So a version identifies exactly one content of the tiles.
 * 2. An event is merged into its tiles in the transaction that writes it. An event in the future is merged by the
 *    transaction that finds it due.
 * 3. A point-in-time read takes whole tiles up to the last hop before the instant, and events from there on. So it does
 *    not see events that arrived later in the tile of the instant.
 */
import { aggregationPlan, type Tile, type TileSet } from '../aggregation/tile-set.js';
import type { AggregationMeaning } from '../definition/definition-record.js';
import type { FeatureValue } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { tailStart } from '../definition/window.js';
import { type SqlAggregator, sqlAggregator, stagedState } from './aggregator-postgres.js';
import { BARE_TYPES, COLUMN_TYPES, instantOf, parseInstant } from './column-postgres.js';
import type { PointInTimeOptions, StoredRow } from './offline-store.js';
import { askedKeys, isSameEntity, isVisible, type KeyColumn } from './point-in-time-postgres.js';

/** The statements on a view's tiles. */
export interface TileTable {
  readonly ddl: string;
  /**
   * Returns a statement that executes `insert` (an INSERT without RETURNING) and merges the inserted rows. Parameters
   * as in `ViewTable.insert`.
   */
  mergeAfter(insert: string): string;
  /**
   * CTEs that merge what another engine has staged. They follow `staged` (kind, content) and `places` (at: sequences by
   * order of arrival).
   */
  readonly mergeStaged: string;
  /**
   * Merges events that are due. Parameters: an array for each join key, then arrays of event times and of sequences.
   */
  readonly mergeDue: string;
  /** Reads tiles. Parameters: an array for each join key, then for each hop the first start to read. */
  readonly tilesAt: string;
  /** Returns the last parameters of `tilesAt`: the first start to read for each hop. */
  liveFrom(now: number): number[];
  /** Returns the tiles of each of `count` keys from the records of `tilesAt` (row mode, raw text). */
  readTiles(records: readonly (string | null)[][], count: number): (TileSet | null)[];
  /** Returns the statement that reads values at past instants. Parameters as in `ViewTable.valuesAt`. */
  valuesAt(options: PointInTimeOptions): string;
  /** Converts a record of `valuesAt` to a row; null if the entity had no visible event. */
  readValues(record: readonly (string | null)[]): StoredRow | null;
}

interface TileTableOptions {
  readonly schema: string;
  /** The history table, qualified with its schema. */
  readonly table: string;
  readonly view: ViewVersion;
  readonly keys: readonly KeyColumn[];
  readonly aggregation: AggregationMeaning;
}

interface Aggregate extends SqlAggregator {
  /** Names of the columns of its state. */
  readonly names: readonly string[];
  /** The history column that it reads, quoted; null if it counts events. */
  readonly column: string | null;
}

const MILLISECONDS = (time: string): string => `round(date_part('epoch', ${time}) * 1000)`;
const START = (time: string, hop: string | number): string => `(floor(${time} / ${hop}) * ${hop})`;

/** Returns the DDL and the statements of a view's tiles. */
export function describeTiles({ schema, table, view, keys, aggregation }: TileTableOptions): TileTable {
  const plan = aggregationPlan(aggregation);
  const tiles = `${schema}."${view.table}_tiles"`;
  const heads = `${schema}."${view.table}_heads"`;
  const keyNames = keys.map(({ name }) => name).join(', ');
  const aggregates = aggregation.aggregates.map((one, index): Aggregate => {
    const sql = sqlAggregator(schema, one);
    const names = sql.columns.map((_, part) => `a${index}_${part}`);
    return { ...sql, names, column: one.column === null ? null : `"${one.column}"` };
  });
  const states = aggregates.flatMap(({ names }) => names);
  const columnOf = ({ column }: Aggregate, alias: string): string => (column === null ? 'NULL' : `${alias}.${column}`);

  /**
   * Returns CTEs that merge entities with their newest event times (selected by `newest`) and tiles (selected by
   * `partial`).
   */
  const mergeInto = (newest: string, partial: string): string => `
      heads AS (
        INSERT INTO ${heads} AS h (${keyNames}, _version, _event_time)
        ${newest} ORDER BY ${keyNames}
        ON CONFLICT (${keyNames}) DO UPDATE
          SET _version = h._version + 1, _event_time = greatest(h._event_time, excluded._event_time)
        RETURNING 1
      ), tiles AS (
        INSERT INTO ${tiles} AS t (${keyNames}, _hop, _start, ${states.join(', ')})
        ${partial} ORDER BY ${keyNames}, _hop, _start
        ON CONFLICT (${keyNames}, _hop, _start) DO UPDATE SET ${aggregates
          .flatMap((one) => {
            const merged = one.merge(
              one.names.map((name) => `t.${name}`),
              one.names.map((name) => `excluded.${name}`),
            );
            return one.names.map((name, part) => `${name} = ${merged[part]}`);
          })
          .join(', ')}
      )`;
  /**
   * Merges the rows of the relation `visible`, which has the columns of history and `_ms` (event time in milliseconds).
   */
  const merge = mergeInto(
    `SELECT ${keyNames}, 1, max(_event_time) FROM visible GROUP BY ${keyNames}`,
    `SELECT ${keyNames}, p.hop AS _hop, ${START('v._ms', 'p.hop')}::bigint AS _start,
       ${aggregates.flatMap((one) => one.group({ value: columnOf(one, 'v'), time: 'v._ms', sequence: 'v._sequence' })).join(', ')}
     FROM visible AS v CROSS JOIN (VALUES ${plan.hops.map(({ hop }) => `(${hop}::bigint)`).join(', ')}) AS p(hop)
     GROUP BY ${keyNames}, p.hop, _start`,
  );
  const keyColumns = keys.map(({ name, type }) => `${name} ${BARE_TYPES[type]}`).join(', ');
  const staged = aggregates.map(({ columns, names }, index) =>
    stagedState(aggregation.aggregates[index]!, columns, names),
  );

  return {
    ddl: `
      CREATE TABLE IF NOT EXISTS ${heads} (
        ${keys.map(({ name, type }) => `${name} ${COLUMN_TYPES[type]} NOT NULL`).join(', ')},
        _version bigint NOT NULL,
        _event_time timestamptz(3) NOT NULL,
        PRIMARY KEY (${keyNames})
      ) WITH (fillfactor = 70);
      CREATE TABLE IF NOT EXISTS ${tiles} (
        ${keys.map(({ name, type }) => `${name} ${COLUMN_TYPES[type]} NOT NULL`).join(', ')},
        _hop bigint NOT NULL,
        _start bigint NOT NULL,
        ${aggregates.flatMap(({ names, columns }) => names.map((name, part) => `${name} ${columns[part]}`)).join(', ')},
        PRIMARY KEY (${keyNames}, _hop, _start)
      ) WITH (fillfactor = 80);`,
    mergeAfter: (insert) => `
      WITH incoming AS (${insert} RETURNING *),
      visible AS (SELECT *, ${MILLISECONDS('_event_time')} AS _ms FROM incoming WHERE _event_time <= $2::timestamptz),
      ${merge}
      INSERT INTO ${schema}.due_rows (view_table, key_parts, event_time, sequence)
      SELECT $3, ARRAY[${keys.map(({ name }) => `${name}::text`).join(', ')}], _event_time, _sequence
      FROM incoming WHERE _event_time > $2::timestamptz`,
    mergeStaged: mergeInto(
      `SELECT ${keyNames}, 1, ${instantOf('_ms')}
       FROM staged CROSS JOIN LATERAL json_to_recordset(content) AS r(${keyColumns}, _ms bigint) WHERE kind = 'heads'`,
      `SELECT ${keyNames}, _hop, _start, ${staged.flatMap((one) => one.expressions).join(', ')}
       FROM staged CROSS JOIN LATERAL json_to_recordset(content)
         AS r(${keyColumns}, _hop bigint, _start bigint, ${staged.flatMap((one) => one.columns).join(', ')})
       WHERE kind = 'tiles'`,
    ),
    mergeDue: `
      WITH visible AS (
        SELECT t.*, ${MILLISECONDS('t._event_time')} AS _ms
        FROM unnest(${keys.map(({ type }, index) => `$${index + 1}::${BARE_TYPES[type]}[]`).join(', ')}, $${keys.length + 1}::timestamptz[], $${keys.length + 2}::bigint[])
          AS k(${keys.map((_, index) => `k${index}`).join(', ')}, event_time, sequence)
        JOIN ${table} AS t ON ${isSameEntity(keys, 't')} AND t._event_time = k.event_time AND t._sequence = k.sequence
      ),
      ${merge}
      SELECT 1`,
    tilesAt: `
      SELECT k.n, h._version, h._event_time, t._hop, t._start, ${states.map((name) => `t.${name}`).join(', ')}
      FROM unnest(${keys.map(({ type }, index) => `$${index + 1}::${BARE_TYPES[type]}[]`).join(', ')})
        WITH ORDINALITY AS k(${keys.map((_, index) => `k${index}`).join(', ')}, n)
      JOIN ${heads} AS h ON ${isSameEntity(keys, 'h')}
      LEFT JOIN LATERAL (
        ${plan.hops
          .map(
            ({ hop }, index) =>
              `SELECT t.* FROM ${tiles} AS t WHERE ${isSameEntity(keys, 't')} AND t._hop = ${hop} AND t._start >= $${keys.length + 1 + index}::bigint`,
          )
          .join(' UNION ALL ')}
      ) AS t ON true
      ORDER BY k.n, t._hop, t._start`,
    liveFrom: (now) => plan.hops.map(({ hop, longest }) => tailStart(now, { hop, length: longest })),
    readTiles: (records, count) => readTileSets(records, count, aggregates),
    valuesAt: (options) => {
      const time = 'k.ms';
      const hops = plan.hops.map(({ hop, longest }, index) => {
        const tail = (length: number): string => START(`(${time} - ${length})`, hop);
        const events = aggregates.flatMap((one) =>
          one.row({ value: columnOf(one, 'e'), time: MILLISECONDS('e._event_time'), sequence: 'e._sequence' }),
        );
        const edge = options.known ? tail(longest) : START(time, hop);
        const whole = options.known
          ? ''
          : `SELECT t._start, ${states.map((name) => `t.${name}`).join(', ')} FROM ${tiles} AS t
             WHERE ${isSameEntity(keys, 't')} AND t._hop = ${hop}
               AND t._start >= ${tail(longest)}::bigint AND t._start < ${edge}::bigint
             UNION ALL`;
        const folds = plan.features.flatMap(({ aggregate, window }, feature) => {
          if (window.hop !== hop) return [];
          const one = aggregates[aggregate]!;
          const filter = window.length === longest ? '' : ` FILTER (WHERE u._start >= ${tail(window.length)})`;
          const columns = one.names.map((name) => `u.${name}`);
          return one.fold(columns, filter).map((fold, part) => `${fold} AS f${feature}_${part}`);
        });
        return `LEFT JOIN LATERAL (
          SELECT ${folds.join(', ')} FROM (
            ${whole}
            SELECT ${START(MILLISECONDS('e._event_time'), hop)}, ${events.join(', ')} FROM ${table} AS e
            WHERE ${isSameEntity(keys, 'e')} AND e._event_time >= ${instantOf(edge)} AND ${isVisible('e', options)}
          ) AS u(_start, ${states.join(', ')})
        ) AS hop${index} ON true`;
      });
      const features = plan.features.flatMap(({ aggregate }, feature) =>
        aggregates[aggregate]!.names.map((_, part) => `f${feature}_${part}`),
      );
      return `
      SELECT newest._event_time, ${features.join(', ')}
      FROM (SELECT *, ${MILLISECONDS('at')} AS ms FROM ${askedKeys(keys)}) AS k
      LEFT JOIN LATERAL (
        SELECT t._event_time FROM ${table} AS t WHERE ${isSameEntity(keys, 't')} AND ${isVisible('t', options)}
        ORDER BY t._event_time DESC LIMIT 1
      ) AS newest ON true
      ${hops.join('\n')}
      ORDER BY k.n`;
    },
    readValues: (record) => {
      const time = record[0];
      if (time === null || time === undefined) return null;
      let at = 1;
      const values = plan.features.map(({ aggregate }): FeatureValue => {
        const { names, readFold } = aggregates[aggregate]!;
        at += names.length;
        return plan.aggregators[aggregate]!.finalize(readFold(record.slice(at - names.length, at)));
      });
      return { eventTime: parseInstant(time), sequence: 0, values };
    },
  };
}

function readTileSets(
  records: readonly (string | null)[][],
  count: number,
  aggregates: readonly Aggregate[],
): (TileSet | null)[] {
  const sets = new Array<(TileSet & { tiles: Tile[] }) | null>(count).fill(null);
  for (const [position, version, eventTime, hop, start, ...columns] of records) {
    const index = Number(position) - 1;
    const set = sets[index] ?? { version: Number(version), eventTime: parseInstant(eventTime!), tiles: [] };
    sets[index] = set;
    if (hop === null) continue;
    let at = 0;
    const states = aggregates.map(({ names, read }) => {
      at += names.length;
      return read(columns.slice(at - names.length, at));
    });
    set.tiles.push({ hop: Number(hop), start: Number(start), states });
  }
  return sets;
}
