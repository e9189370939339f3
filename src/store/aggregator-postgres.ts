/**
 * The algebra of aggregations in SQL. It must give the same results as `aggregation/aggregator.ts`; the golden vectors
 * check that.
 *
 * Each function keeps its state in columns. It defines the state of one row, the state of a group of rows, the merge of
 * two states, and the fold of many states. TypeScript finalizes a folded state, so finalizing is the same code for
 * online reads.
 */
import type { AggregateOptions, State } from '../aggregation/aggregator.js';
import { SKETCH_SIZE, sketchOf } from '../aggregation/distinct-sketch.js';
import type { ScalarType } from '../definition/value-type.js';
import { COLUMN_TYPES, instantOf, parseScalar, stagedType } from './column-postgres.js';

/**
 * SQL expressions of a row: the aggregated column, the event time in milliseconds as double, and the order of arrival.
 */
export interface RowExpressions {
  readonly value: string;
  readonly time: string;
  readonly sequence: string;
}

/** The SQL of one aggregate. */
export interface SqlAggregator {
  /** Types of the columns that hold a state. */
  readonly columns: readonly string[];
  /** Returns the state of one row. */
  row(row: RowExpressions): readonly string[];
  /** Returns the state of a group of rows, as aggregate expressions. */
  group(row: RowExpressions): readonly string[];
  /** Returns the merge of two states. */
  merge(a: readonly string[], b: readonly string[]): readonly string[];
  /** Returns the fold of many states, as aggregate expressions. `filter` is a FILTER clause or empty. */
  fold(columns: readonly string[], filter: string): readonly string[];
  /** Parses a state from the text of its columns. */
  read(texts: readonly (string | null)[]): State;
  /** Parses a state from the text of `fold`. */
  readFold(texts: readonly (string | null)[]): State;
}

const number = (text: string | null | undefined): number | null =>
  text === null || text === undefined ? null : Number(text);
const numbers = (text: string): number[] => (text === '{}' ? [] : text.slice(1, -1).split(',').map(Number));

/** Returns the SQL of an aggregate. `schema` is a quoted identifier and contains the functions of migration 002. */
export function sqlAggregator(schema: string, { function: name, type, n }: AggregateOptions): SqlAggregator {
  const scalar = type as ScalarType;
  switch (name) {
    case 'count': {
      const counted = ({ value }: RowExpressions): string =>
        type === null ? '1::float8' : `(CASE WHEN ${value} IS NULL THEN 0 ELSE 1 END)::float8`;
      return simple({
        columns: ['double precision'],
        row: (row) => [counted(row)],
        fold: 'sum',
        merge: (a, b) => [`${a[0]} + ${b[0]}`],
        read: ([count]) => [number(count)],
      });
    }
    case 'sum':
      return simple({
        columns: [sumColumn(scalar)],
        row: ({ value }) => [cast(value, scalar)],
        fold: 'sum',
        merge: ([a], [b]) => [`coalesce(${a} + ${b}, ${a}, ${b})`],
        read: ([sum]) => [readSum(scalar, sum)],
      });
    case 'avg':
      return simple({
        columns: [sumColumn(scalar), 'double precision'],
        row: ({ value }) => [cast(value, scalar), `(CASE WHEN ${value} IS NOT NULL THEN 1 END)::float8`],
        fold: 'sum',
        merge: ([a, m], [b, n2]) => [`coalesce(${a} + ${b}, ${a}, ${b})`, `coalesce(${m} + ${n2}, ${m}, ${n2})`],
        read: ([sum, count]) => [readSum(scalar, sum), number(count)],
      });
    case 'min':
    case 'max': {
      const pick = name === 'min' ? 'least' : 'greatest';
      return simple({
        columns: [COLUMN_TYPES[scalar]],
        row: ({ value }) => [value],
        fold: name,
        merge: ([a], [b]) => [`${pick}(${a}, ${b})`],
        read: ([text]) => [text === null || text === undefined ? null : parseScalar(scalar, text)],
      });
    }
    case 'first':
    case 'last':
      return outermost(scalar, name);
    case 'lastN':
      return recent(schema, scalar, n ?? 1);
    case 'variance':
    case 'stddev':
      return {
        columns: ['double precision[]'],
        row: ({ value }) => [`CASE WHEN ${value} IS NOT NULL THEN ARRAY[1, ${value}::float8, 0] END`],
        group: ({ value }) => [
          `${schema}.merge_moments(CASE WHEN ${value} IS NOT NULL THEN ARRAY[1, ${value}::float8, 0] END)`,
        ],
        merge: ([a], [b]) => [
          `CASE WHEN ${a} IS NULL THEN ${b} WHEN ${b} IS NULL THEN ${a} ELSE float8_combine(${a}, ${b}) END`,
        ],
        fold: ([column], filter) => [`${schema}.merge_moments(${column})${filter}`],
        read: readNumbers,
        readFold: readNumbers,
      };
    case 'countDistinct':
      return distinct(schema, scalar);
  }
}

/** Returns an expression for the sequence of row `n` in a staged batch. */
export const placeOf = (n: string): string => `(SELECT at FROM places)[${n}::integer + 1]`;

/**
 * Returns how to read a state that another engine has staged: the columns of its JSON, and the expressions that convert
 * them. Staged instants are milliseconds. Instead of a sequence, a staged state holds the row's index in the batch.
 */
export function stagedState(
  { function: name }: AggregateOptions,
  types: readonly string[],
  names: readonly string[],
): { readonly columns: readonly string[]; readonly expressions: readonly string[] } {
  return {
    // Spark has no JSON values: the state is either a list or the text of one, so it is read as text.
    columns: names.map((column, part) => `${column} ${name === 'lastN' ? 'text' : stagedType(types[part]!)}`),
    expressions: names.map((column, part) => {
      if (types[part] === COLUMN_TYPES.TIMESTAMP) return instantOf(column);
      if ((name === 'first' || name === 'last') && part === 2) return `${placeOf(column)}::float8`;
      if (name !== 'lastN') return column;
      return `(SELECT jsonb_agg(jsonb_build_array(e -> 0, ${placeOf('(e ->> 1)')}, e -> 2) ORDER BY o)
        FROM jsonb_array_elements(${column}::jsonb) WITH ORDINALITY AS l(e, o))`;
    }),
  };
}

/** Returns the SQL of a function that a built-in SQL aggregate can fold. */
function simple(
  rules: Pick<SqlAggregator, 'columns' | 'row' | 'merge' | 'read'> & { readonly fold: string },
): SqlAggregator {
  const { columns, row, merge, read, fold } = rules;
  return {
    columns,
    row,
    group: (one) => row(one).map((expression) => `${fold}(${expression})`),
    merge,
    fold: (names, filter) => names.map((column) => `${fold}(${column})${filter}`),
    read,
    readFold: read,
  };
}

const sumColumn = (type: ScalarType): string => (type === 'FLOAT64' ? 'double precision' : 'numeric');
const cast = (value: string, type: ScalarType): string => (type === 'FLOAT64' ? value : `${value}::numeric`);

function readSum(type: ScalarType, text: string | null | undefined): number | string | null {
  return type === 'FLOAT64' ? number(text) : (text ?? null);
}

function readNumbers([text]: readonly (string | null)[]): State {
  return [text === null || text === undefined ? null : numbers(text)];
}

/** First and last: a value with its event time and sequence, which define the order. */
function outermost(type: ScalarType, name: 'first' | 'last'): SqlAggregator {
  const [order, before] = name === 'first' ? ['ASC', '<='] : ['DESC', '>='];
  const pick = (expression: string, [value, time, sequence]: readonly string[], filter: string): string =>
    `(array_agg(${expression} ORDER BY ${time} ${order}, ${sequence} ${order}) FILTER (WHERE ${value} IS NOT NULL${filter}))[1]`;
  const inner = (filter: string): string => filter.replace(/^ FILTER \(WHERE (.*)\)$/, ' AND $1');
  const read: SqlAggregator['read'] = ([value, time, sequence]) =>
    value === null || value === undefined
      ? [null, null, null]
      : [parseScalar(type, value), number(time), number(sequence)];
  const row: SqlAggregator['row'] = ({ value, time, sequence }) => [
    value,
    `CASE WHEN ${value} IS NOT NULL THEN ${time} END`,
    `CASE WHEN ${value} IS NOT NULL THEN ${sequence}::float8 END`,
  ];
  return {
    columns: [COLUMN_TYPES[type], 'double precision', 'double precision'],
    row,
    group: (one) => {
      const columns = [one.value, one.time, `${one.sequence}::float8`];
      return columns.map((expression) => pick(expression, columns, ''));
    },
    merge: (a, b) =>
      a.map(
        (mine, index) =>
          `CASE WHEN ${b[0]} IS NULL OR (${a[0]} IS NOT NULL AND (${a[1]}, ${a[2]}) ${before} (${b[1]}, ${b[2]})) THEN ${mine} ELSE ${b[index]} END`,
      ),
    fold: (columns, filter) => columns.map((expression) => pick(expression, columns, inner(filter))),
    read,
    readFold: read,
  };
}

/** The last n values as JSON: event time, sequence, and the value as text. */
function recent(schema: string, type: ScalarType, n: number): SqlAggregator {
  const text = (value: string): string =>
    type === 'TIMESTAMP' ? `round(date_part('epoch', ${value}) * 1000)::bigint::text` : `${value}::text`;
  const entry = ({ value, time, sequence }: RowExpressions): string =>
    `jsonb_build_array(${time}::numeric, ${sequence}, ${text(value)})`;
  const read: SqlAggregator['read'] = ([json]) => [json ? JSON.stringify(JSON.parse(json)) : null];
  return {
    columns: ['jsonb'],
    row: (row) => [`CASE WHEN ${row.value} IS NOT NULL THEN jsonb_build_array(${entry(row)}) END`],
    group: (row) => [
      `jsonb_path_query_array(jsonb_agg(${entry(row)} ORDER BY ${row.time} DESC, ${row.sequence} DESC) FILTER (WHERE ${row.value} IS NOT NULL), '$[0 to ${n - 1}]')`,
    ],
    merge: ([a], [b]) => [`${schema}.merge_last(${a}, ${b}, ${n})`],
    fold: ([column], filter) => [`jsonb_agg(${column})${filter || ` FILTER (WHERE ${column} IS NOT NULL)`}`],
    read,
    readFold: ([json]) => {
      const states = json ? (JSON.parse(json) as ([number, number, string][] | null)[]) : [];
      const all = states.flatMap((state) => state ?? []).sort((x, y) => y[0] - x[0] || y[1] - x[1]);
      return [all.length > 0 ? JSON.stringify(all.slice(0, n)) : null];
    },
  };
}

/** Distinct counts: the state is a sorted array of the smallest hashes. */
function distinct(schema: string, type: ScalarType): SqlAggregator {
  const text = (value: string): string => {
    if (type === 'FLOAT64') return `encode(float8send(${value}), 'hex')`;
    return type === 'TIMESTAMP' ? `round(date_part('epoch', ${value}) * 1000)::bigint::text` : `${value}::text`;
  };
  const hash = (value: string): string => `('x' || left(md5(${text(value)}), 13))::bit(52)::bigint::float8`;
  return {
    columns: ['double precision[]'],
    row: ({ value }) => [`CASE WHEN ${value} IS NOT NULL THEN ARRAY[${hash(value)}] END`],
    group: ({ value }) => [
      `(array_agg(DISTINCT ${hash(value)} ORDER BY ${hash(value)}) FILTER (WHERE ${value} IS NOT NULL))[1:${SKETCH_SIZE}]`,
    ],
    merge: ([a], [b]) => [`${schema}.merge_sketches(${a}, ${b}, ${SKETCH_SIZE})`],
    fold: ([column], filter) => [`string_agg(array_to_string(${column}, ','), ',')${filter}`],
    read: readNumbers,
    readFold: ([hashes]) => [hashes ? sketchOf(hashes.split(',').map(Number)) : null],
  };
}
