/** What threads that read and write tables are told, and what they answer. */
import { type ErrorCode, FStoreError } from '../errors.js';
import type { TextLine } from './ndjson-table.js';
import type { TableColumn, TableFormat, TableReadOptions, TableRow } from './table-schema.js';

/** A thread does one task after the other; `next`, `write` and `close` are about the current one. */
export type TableTask =
  | { readonly task: 'read'; readonly path: string; readonly format: TableFormat; readonly options: TableReadOptions }
  | { readonly task: 'lines'; readonly path: string; readonly options: TableReadOptions }
  | {
      readonly task: 'write';
      readonly path: string;
      readonly format: TableFormat;
      readonly schema: readonly TableColumn[];
    };

export type TableRequest =
  | TableTask
  | { readonly next: true }
  | { readonly rows: readonly TableRow[] }
  | { readonly close: true };

/** One answer comes for each request. */
export type TableAnswer =
  | { readonly schema: readonly TableColumn[]; readonly rowCount: number | null }
  | { readonly batches: readonly (readonly TableRow[])[]; readonly ended: boolean; readonly error?: ThreadError }
  | { readonly lines: readonly TextLine[]; readonly ended: boolean }
  | { readonly bytes: number }
  | { readonly done: true }
  | { readonly error: ThreadError };

/** An error as it crosses between threads; `code` is one of the table of errors, `errno` one of the system. */
export interface ThreadError {
  readonly code: ErrorCode | null;
  readonly errno: string | undefined;
  readonly message: string;
  readonly field: string | undefined;
  readonly stack: string | undefined;
}

/** Makes an error ready to cross. */
export function packError(error: unknown): ThreadError {
  const { message, stack, code: errno } = error as NodeJS.ErrnoException;
  if (!(error instanceof FStoreError)) return { code: null, errno, message, field: undefined, stack };
  return { code: error.code, errno: undefined, message, field: error.location.field, stack };
}

/** The error that has crossed. */
export function unpackError({ code, errno, message, field, stack }: ThreadError): Error {
  const cause = Object.assign(new Error(message), errno === undefined ? {} : { code: errno });
  if (stack !== undefined) cause.stack = stack;
  return code === null ? cause : new FStoreError(code, message, field === undefined ? {} : { field }, [], { cause });
}
