/**
 * How large a table in a file may be. Every reader checks these limits before it allocates memory for what a file declares, so a
 * file of a few kilobytes cannot stand for gigabytes.
 */
import { FStoreError } from '../errors.js';

/** The limits, by what they count. `docs/files.md` says why each has its size. */
export const TABLE_LIMITS = {
  /** Columns of a file. */
  columns: 10_000,
  /** Characters of the name of a column. */
  columnName: 256,
  /** Rows of a file. */
  rows: 100_000_000,
  /** Characters of one value: 1 MiB, about the default of FSTORE_MAX_EVENT_BYTES. */
  cell: 1_048_576,
  /** Characters of one record of CSV, or of one line of NDJSON: 16 MiB. */
  record: 16 * 1_048_576,
  /** How deep lists and objects are nested in a line of NDJSON. */
  depth: 64,
  /** Bytes of the footer of a Parquet file: 32 MiB, enough for 10,000 columns in 30 row groups. */
  footer: 32 * 1_048_576,
  /** Values of one page of Parquet. Writers cut pages at 20,000 rows or at 1 MiB. */
  pageValues: 4_194_304,
  /** Bytes of one page of Parquet, compressed and uncompressed: 64 MiB. */
  pageBytes: 64 * 1_048_576,
  /** Values of all pages that are decoded at one time: one page of each column. */
  openValues: 67_108_864,
  /** Bytes of the values of these pages, and of the dictionaries of a row group: 256 MiB. */
  openBytes: 256 * 1_048_576,
  /** Bytes of one record batch of Arrow, which is read as a whole: 512 MiB. */
  recordBatch: 512 * 1_048_576,
  /** Megabytes of memory for objects that one reading may take. */
  heapMegabytes: 1_024,
  /** Milliseconds in which a reading must give its next rows. */
  silence: 120_000,
} as const;

/** The error of a table that is over a limit; `message` names file and limit. */
export function tooLarge(message: string, field: string): FStoreError {
  return new FStoreError('TABLE_TOO_LARGE', message, { field });
}

/** A text of a file as an error shows it: on one line, without control characters, 100 characters at most. */
export function shownText(text: string): string {
  const clean = text.slice(0, 101).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\u{FFFD}');
  return clean.length > 100 ? `${clean.slice(0, 97)}…` : clean;
}

/** The error of a file that cannot be used, with the column at fault. */
export function unusable(message: string, field: string, cause?: unknown): FStoreError {
  return new FStoreError('BAD_REQUEST', message, { field }, [], cause === undefined ? {} : { cause });
}
