/**
 * The packed form of an entity's tiles, as the online store keeps them beside the finalized values.
 *
 *   bytes 0–7    version of the tiles, float64 big-endian: the position in the order of writes
 *   bytes 8–15   0
 *   byte  16     format, 3
 *   bytes 17–20  first 4 bytes of the view's fingerprint
 *   bytes 21–28  event time of the newest event, float64 big-endian
 *   bytes 29–32  number of tiles
 *   then         for each tile: index of its hop (1 byte), start (float64 big-endian), its states (`packed-values.ts`)
 *
 * Bytes that no encoder wrote decode to null, as in `value-codec.ts`.
 */
import type { State } from '../aggregation/aggregator.js';
import { aggregationPlan, type Tile, type TileSet } from '../aggregation/tile-set.js';
import type { FeatureValue } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { DamagedValue, ValuePacker } from './packed-values.js';
import { stampOf } from './value-codec.js';

const FORMAT = 3;
const HEADER = 33;
const TILE_HEADER = 9;

/** Packs and unpacks the tiles of one aggregation view. Create one for each view and reuse it. */
export class TileCodec {
  readonly #stamp: number;
  readonly #hops: readonly number[];
  readonly #widths: readonly number[];
  readonly #packer: ValuePacker;

  constructor(view: Pick<ViewVersion, 'fingerprint' | 'aggregation'>) {
    const { aggregators, hops } = aggregationPlan(view.aggregation!);
    this.#stamp = stampOf(view);
    this.#hops = hops.map(({ hop }) => hop);
    this.#widths = aggregators.map(({ parts }) => parts.length);
    this.#packer = new ValuePacker(aggregators.flatMap(({ parts }) => parts));
  }

  /** Packs the tiles of an entity. */
  encode({ version, eventTime, tiles }: TileSet): Buffer {
    const flat = tiles.map(({ states }) => partsOf(states));
    const size = flat.reduce((sum, values) => sum + TILE_HEADER + this.#packer.size(values), HEADER);
    const bytes = Buffer.allocUnsafe(size);
    bytes.writeDoubleBE(version, 0);
    bytes.writeDoubleBE(0, 8);
    bytes[16] = FORMAT;
    bytes.writeUInt32BE(this.#stamp, 17);
    bytes.writeDoubleBE(eventTime, 21);
    bytes.writeUInt32BE(tiles.length, 29);
    let at = HEADER;
    for (const [index, { hop, start }] of tiles.entries()) {
      bytes[at] = this.#hops.indexOf(hop);
      bytes.writeDoubleBE(start, at + 1);
      at = this.#packer.write(bytes, at + TILE_HEADER, flat[index]!);
    }
    return bytes;
  }

  /** Unpacks bytes. Returns null if they are not packed tiles of this view version. */
  decode(bytes: Buffer): TileSet | null {
    if (bytes.length < HEADER || bytes[16] !== FORMAT || bytes.readUInt32BE(17) !== this.#stamp) return null;
    const [version, eventTime] = [bytes.readDoubleBE(0), bytes.readDoubleBE(21)];
    if (!Number.isFinite(version) || !Number.isFinite(eventTime)) return null;
    const tiles: Tile[] = [];
    const reader = { bytes, at: HEADER };
    try {
      while (reader.at < bytes.length) {
        const hop = this.#hops[bytes[reader.at]!];
        if (hop === undefined || reader.at + TILE_HEADER > bytes.length) return null;
        const start = bytes.readDoubleBE(reader.at + 1);
        reader.at += TILE_HEADER;
        const flat = this.#packer.read(reader);
        let at = 0;
        const states = this.#widths.map((width) => {
          at += width;
          return flat.slice(at - width, at);
        });
        tiles.push({ hop, start, states });
      }
    } catch (error) {
      if (error instanceof DamagedValue) return null;
      throw error;
    }
    return tiles.length === bytes.readUInt32BE(29) ? { version, eventTime, tiles } : null;
  }
}

/** Returns the parts of all states in one list; `flat` takes several times as long. */
function partsOf(states: readonly State[]): FeatureValue[] {
  const parts: FeatureValue[] = [];
  for (const state of states) for (const part of state) parts.push(part);
  return parts;
}
