/**
 * Texts of Parquet in the encoding DELTA_BYTE_ARRAY: each names how many bytes it shares with the one before. A page of a few kilobytes
 * can so stand for gigabytes, which its header does not say.
 */
import type { PageHeader } from 'hyparquet';
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { readRleBitPackedHybrid } from 'hyparquet/src/encoding.js';
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from 'hyparquet/src/schema.js';
import type { ColumnDecoder } from 'hyparquet/src/types.js';
import { boundedCompressors } from './parquet-codec.js';
import type { TableFile } from './table-file.js';
import { TABLE_LIMITS, tooLarge } from './table-limit.js';

/** Throws TABLE_TOO_LARGE for a page of this encoding whose texts have more bytes together than a page may have. */
export function checkDeltaPage(file: TableFile, header: PageHeader, body: Uint8Array, decoder: ColumnDecoder): void {
  const encoding = (header.data_page_header ?? header.data_page_header_v2)?.encoding;
  if (encoding !== 'DELTA_BYTE_ARRAY') return;
  const { view, values } = header.data_page_header_v2
    ? secondVersion(header, body, decoder)
    : firstVersion(header, body, decoder);
  const reader = { view, offset: 0 };
  let total = 0;
  // Lengths of what is shared, then lengths of the rest.
  for (let list = 0; list < 2 && values > 0; list += 1) {
    const lengths = new Int32Array(values);
    deltaBinaryUnpack(reader, values, lengths);
    for (const length of lengths) total += length;
  }
  if (total <= TABLE_LIMITS.pageBytes) return;
  const column = decoder.pathInSchema[0];
  const message = `${file.name}, column ${column} has a page whose texts have more than ${TABLE_LIMITS.pageBytes} bytes`;
  throw tooLarge(message, file.field);
}

interface ValueBytes {
  readonly view: DataView;
  /** How many values are not null. */
  readonly values: number;
}

function firstVersion(header: PageHeader, body: Uint8Array, decoder: ColumnDecoder): ValueBytes {
  const page = decompress(body, header.uncompressed_page_size, decoder);
  const count = header.data_page_header!.num_values;
  const view = viewOf(page);
  const reader = { view, offset: 0 };
  const skip = getMaxRepetitionLevel(decoder.schemaPath);
  if (skip > 0) reader.offset += 4 + view.getUint32(0, true);
  const deepest = getMaxDefinitionLevel(decoder.schemaPath);
  let values = count;
  if (deepest > 0) {
    const levels = new Uint8Array(count);
    readRleBitPackedHybrid(reader, 32 - Math.clz32(deepest), levels);
    values = levels.reduce((sum, level) => sum + (level === deepest ? 1 : 0), 0);
  }
  return { view: viewOf(page.subarray(reader.offset)), values };
}

function secondVersion(header: PageHeader, body: Uint8Array, decoder: ColumnDecoder): ValueBytes {
  const { num_values, num_nulls, is_compressed, ...levels } = header.data_page_header_v2!;
  const before = levels.repetition_levels_byte_length + levels.definition_levels_byte_length;
  const rest = body.subarray(before);
  const length = header.uncompressed_page_size - before;
  const page = is_compressed === false ? rest : decompress(rest, length, decoder);
  return { view: viewOf(page), values: Math.max(0, Math.min(num_values, num_values - num_nulls)) };
}

function decompress(bytes: Uint8Array, length: number, { codec }: ColumnDecoder): Uint8Array {
  const codecOf = codec === 'UNCOMPRESSED' ? null : boundedCompressors[codec];
  return codecOf ? codecOf(bytes, length) : bytes;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
