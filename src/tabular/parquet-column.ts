/**
 * Reads a column of a row group of Parquet page by page, so that memory holds one page of it, whatever its row group has.
 *
 * Boundary: pages are decoded by hyparquet; what their headers declare is checked here, before memory is allocated for it.
 */
import type { ColumnMetaData, DecodedArray, PageHeader, SchemaTree } from 'hyparquet';
import { assembleNested } from 'hyparquet/src/assemble.js';
import { parquetHeader, readPage } from 'hyparquet/src/column.js';
import { convert, DEFAULT_PARSERS } from 'hyparquet/src/convert.js';
import { isFlatColumn } from 'hyparquet/src/schema.js';
import type { ColumnDecoder, ParquetParsers } from 'hyparquet/src/types.js';
import { boundedCompressors } from './parquet-codec.js';
import { checkDeltaPage } from './parquet-delta.js';
import { readBytes, type TableFile } from './table-file.js';
import { TABLE_LIMITS, tooLarge } from './table-limit.js';

/** Bytes of the header of a page that are tried, one after the other; statistics can be long texts. */
const HEADER_BYTES = [256, 8_192, 1_048_576];

/** Instants as milliseconds: a Date for each costs more than to read it. */
const parsers: ParquetParsers = {
  ...DEFAULT_PARSERS,
  timestampFromMilliseconds: (millis: bigint) => Number(millis),
  timestampFromMicroseconds: (micros: bigint) => Number(micros / 1000n),
  timestampFromNanoseconds: (nanos: bigint) => Number(nanos / 1_000_000n),
  dateFromDays: (days: number) => days * 86_400_000,
} as unknown as ParquetParsers;

/** What the open pages and dictionaries of all columns of a row group hold together. */
export class OpenPages {
  readonly #file: TableFile;
  #values = 0;
  #bytes = 0;

  constructor(file: TableFile) {
    this.#file = file;
  }

  /** Counts a page or a dictionary in, or out with negative numbers. Throws TABLE_TOO_LARGE. */
  add(values: number, bytes: number): void {
    this.#values += values;
    this.#bytes += bytes;
    const { openValues, openBytes } = TABLE_LIMITS;
    const { name, field } = this.#file;
    if (this.#values > openValues) throw tooLarge(`${name} has pages of more than ${openValues} values`, field);
    if (this.#bytes > openBytes) throw tooLarge(`${name} has pages of more than ${openBytes} bytes`, field);
  }
}

/** The values of a column in a row group, in their order. */
export class ParquetColumn {
  readonly #file: TableFile;
  readonly #open: OpenPages;
  readonly #decoder: ColumnDecoder;
  /** The column at the top of the schema, which a list is put together from. */
  readonly #top: SchemaTree;
  readonly #isFlat: boolean;
  readonly #end: number;
  #position: number;
  #dictionary: DecodedArray | undefined;
  #page: DecodedArray = [];
  #at = 0;
  /** What the current page is counted with. */
  #held = { values: 0, bytes: 0 };

  constructor(file: TableFile, open: OpenPages, schemaPath: SchemaTree[], chunk: ColumnMetaData) {
    this.#file = file;
    this.#open = open;
    this.#top = schemaPath[1]!;
    this.#isFlat = isFlatColumn(schemaPath);
    const element = schemaPath.at(-1)!.element;
    const { type, codec, path_in_schema: pathInSchema } = chunk;
    this.#decoder = { pathInSchema, type, element, schemaPath, codec, parsers, compressors: boundedCompressors };
    this.#position = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
    this.#end = this.#position + Number(chunk.total_compressed_size);
    if (!(this.#position >= 4 && this.#end >= this.#position && this.#end <= file.size)) {
      throw new Error(`column ${pathInSchema.join('.')} lies outside of the file`);
    }
  }

  /** The next `count` values. Throws TABLE_TOO_LARGE, or Error where the file is damaged. */
  take(count: number): unknown[] {
    const values: unknown[] = [];
    while (values.length < count) {
      // The last row of a page may go on in the next one.
      const complete = this.#page.length - (this.#isFlat || this.#position >= this.#end ? 0 : 1);
      if (this.#at >= complete) {
        this.#readPage();
        continue;
      }
      const end = Math.min(complete, this.#at + count - values.length);
      for (; this.#at < end; this.#at += 1) values.push(this.#page[this.#at]);
    }
    if (this.#top.children.length === 0) return values;
    const parts = new Map<string, DecodedArray>([[this.#decoder.pathInSchema.join('.'), values]]);
    assembleNested(parts, this.#top, parsers);
    return parts.get(this.#top.element.name) as unknown[];
  }

  #readPage(): void {
    if (this.#position >= this.#end) throw new Error(`column ${this.#decoder.pathInSchema.join('.')} ends too early`);
    const { header, bytes: headerBytes } = this.#readHeader();
    const body = readBytes(this.#file, this.#position + headerBytes, header.compressed_page_size);
    this.#position += headerBytes + header.compressed_page_size;
    const values = valuesOf(header);
    const isDictionary = header.type === 'DICTIONARY_PAGE';
    if (!isDictionary) {
      this.#open.add(-this.#held.values, -this.#held.bytes);
      this.#held = { values: 0, bytes: 0 };
    }
    this.#open.add(values, header.uncompressed_page_size);
    checkDeltaPage(this.#file, header, body, this.#decoder);
    const reader = { view: new DataView(body.buffer, body.byteOffset, body.byteLength), offset: 0 };
    if (isDictionary) {
      const { data } = readPage(reader, header, this.#decoder, undefined, undefined, 0);
      if (data) this.#dictionary = convert(data, this.#decoder);
      return;
    }
    this.#held = { values, bytes: header.uncompressed_page_size };
    const previous = this.#isFlat ? undefined : Array.from(this.#page).slice(this.#at);
    const { data } = readPage(reader, header, this.#decoder, this.#dictionary, previous, 0);
    this.#page = data ?? [];
    this.#at = 0;
  }

  /** The next header, whose numbers are within the limits, and its length. */
  #readHeader(): { header: PageHeader; bytes: number } {
    for (const [attempt, tried] of HEADER_BYTES.entries()) {
      const length = Math.min(tried, this.#end - this.#position);
      const bytes = readBytes(this.#file, this.#position, length);
      const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
      let header: PageHeader;
      try {
        header = parquetHeader(reader);
      } catch (error) {
        if (attempt === HEADER_BYTES.length - 1 || length < tried) throw error;
        continue;
      }
      this.#check(header, this.#end - this.#position - reader.offset);
      return { header, bytes: reader.offset };
    }
    throw new Error('a page has no header');
  }

  #check(header: PageHeader, left: number): void {
    const { name, field } = this.#file;
    const { pageBytes, pageValues } = TABLE_LIMITS;
    const column = this.#decoder.pathInSchema[0];
    const { compressed_page_size: compressed, uncompressed_page_size: uncompressed } = header;
    const isSize = (size: unknown): boolean => Number.isInteger(size) && (size as number) >= 0;
    const values = valuesOf(header);
    if (!isSize(compressed) || !isSize(uncompressed) || !isSize(values) || compressed > left) {
      throw new Error(`column ${column} has a damaged page`);
    }
    if (Math.max(compressed, uncompressed) > pageBytes) {
      throw tooLarge(`${name}, column ${column} has a page of more than ${pageBytes} bytes`, field);
    }
    if (values > pageValues) {
      throw tooLarge(`${name}, column ${column} has a page of more than ${pageValues} values`, field);
    }
  }
}

/** The number of values that a header says its page has. */
function valuesOf(header: PageHeader): number {
  const { data_page_header: first, data_page_header_v2: second, dictionary_page_header: dictionary } = header;
  return (first ?? second ?? dictionary)?.num_values ?? 0;
}
