/** Tables in files: their columns, their rows, and the formats that they come in. */
import type { FeatureValue, ValueType } from '../definition/value-type.js';

export const TABLE_FORMATS = ['csv', 'ndjson', 'parquet', 'arrow'] as const;
export type TableFormat = (typeof TABLE_FORMATS)[number];

export interface TableColumn {
  readonly name: string;
  readonly type: ValueType;
}

/** The values of one row, by the position of their columns, each in the one form of its type. */
export type TableRow = readonly FeatureValue[];

/** A file that is being read. `batches` may be asked for once. */
export interface TableReading {
  readonly schema: readonly TableColumn[];
  /** Null where the format does not say how many rows there are. */
  readonly rowCount: number | null;
  batches(): AsyncIterable<readonly TableRow[]>;
  close(): Promise<void>;
}

/** How a file is read. */
export interface TableReadOptions {
  /** Default: what the file's name ends in. */
  readonly format?: TableFormat;
  /** Columns that must be there, with their types. Without: all columns, with the types that they seem to have. */
  readonly schema?: readonly TableColumn[];
  /** With a schema: the other columns too. */
  readonly extra?: boolean;
  /** Rows of one batch at most; batches of wide rows and long texts are smaller. */
  readonly batchSize?: number;
  /** Folder that the file must lie in by its real path; default: any. */
  readonly within?: string;
  /** Field of the request that names the file, for errors; default: spine. */
  readonly field?: string;
}
