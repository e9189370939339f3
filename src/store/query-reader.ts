/**
 * Port: rows of the SELECTs that users write, in definitions, checks and requests.
 *
 * Invariants that every adapter holds (test/contract/store/query-reader.test.ts)
 * 1. A text is parsed alone, as one statement, before anything of it runs; what is not one SELECT is refused.
 * 2. It runs under a login of its own, in a transaction that cannot write and that always ends in a rollback, on a connection that is
 *    closed afterwards: nothing of it stays.
 * 3. It ends at its time limit, whatever it sets.
 * 4. No error quotes data that it has read.
 */
import type { FeatureValue, ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';

/** A column of rows. */
export interface QueryColumn {
  readonly name: string;
  readonly type: ValueType;
}

/** Rows with their columns, in batches. */
export interface RowTable {
  readonly schema: readonly QueryColumn[];
  readonly batches: AsyncIterable<readonly (readonly FeatureValue[])[]>;
}

export interface QueryOptions {
  /** The columns that are wanted, in this order and of these types; default: those of the query. */
  readonly columns?: readonly QueryColumn[];
  /** Columns of the result by which its rows are put in order, ascending. */
  readonly order?: readonly string[];
  /** Rows at most; then the time limit is one of all of them, and not of each page. */
  readonly rows?: number;
}

export interface QueryReader {
  /** Why no query is read at all; null: they are read. */
  readonly closed: string | null;
  /**
   * Parses a text and runs nothing. Returns it as one statement, without what may stand behind one.
   * Throws BAD_REQUEST for what is not one SELECT, SQL_QUERIES_OFF, STORE_UNAVAILABLE.
   */
  check(query: string): Promise<string>;
  /**
   * Hands the rows of a SELECT to `take`. Throws BAD_REQUEST for what PostgreSQL refuses and for values that are not of their declared
   * type, QUERY_TIMEOUT, SQL_QUERIES_OFF, STORE_UNAVAILABLE.
   */
  read(query: string, options: QueryOptions, take: (table: RowTable) => Promise<void>): Promise<void>;
}

/** The reader of a process that runs no text of users; `reason` says why. */
export function createClosedReader(reason: string): QueryReader {
  const refuse = async (): Promise<never> => {
    throw new FStoreError('SQL_QUERIES_OFF', reason);
  };
  return { closed: reason, check: refuse, read: refuse };
}
