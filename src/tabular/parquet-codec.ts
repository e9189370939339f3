/** Decompressors of Parquet pages that never write more than the page's header says. */
import { brotliDecompressSync, gunzipSync, inflateRawSync } from 'node:zlib';
import type { Compressors } from 'hyparquet';
import { compressors, decompressZstd } from 'hyparquet-compressors';

/** Node ends with an error where the output would be longer. */
const limit = (length: number): { maxOutputLength: number } => ({ maxOutputLength: Math.max(1, length) });

/**
 * By codec. Snappy and LZ4 write into memory of the given length. Zstandard is given that memory, since it would otherwise take what
 * its own frames say. Gzip and Brotli are Node's.
 */
export const boundedCompressors: Compressors = {
  ...compressors,
  ZSTD: (input, length) => decompressZstd(input, new Uint8Array(length)),
  GZIP: (input, length) => {
    // Some writers leave the header of gzip out.
    const isGzip = input[0] === 0x1f && input[1] === 0x8b;
    return isGzip ? gunzipSync(input, limit(length)) : inflateRawSync(input, limit(length));
  },
  BROTLI: (input, length) => brotliDecompressSync(input, limit(length)),
};
