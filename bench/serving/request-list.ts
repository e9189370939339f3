/** Prepares requests as bytes before the measurement. */
import { bodyOf, type Door, keysOf, MISS_DIGITS, missId, PATHS, type Workload } from './workload.js';

const MAX_REQUESTS = 20_000;
const MAX_BYTES = 64_000_000;
const MISS = /"x\d{9}"/g;

/** A request and the offsets of its misses. Their digits change with each use, so that no server can cache a miss. */
interface PreparedRequest {
  readonly bytes: Buffer;
  readonly misses: readonly number[];
}

/** An endless list of prepared requests. */
export class RequestList {
  readonly #requests: readonly PreparedRequest[];
  #next = 0;
  #misses: number;

  constructor(workload: Workload, door: Door, port: number, entities: number, seed: number) {
    const requests: PreparedRequest[] = [];
    let size = 0;
    for (const ids of keysOf(workload, entities, seed)) {
      const body = bodyOf(workload, door, ids);
      const head = [
        ...[`POST ${PATHS[door]} HTTP/1.1`, `host: 127.0.0.1:${port}`, 'content-type: application/json'],
        ...['accept: application/json', `content-length: ${Buffer.byteLength(body)}`, '', ''],
      ];
      const text = head.join('\r\n') + body;
      const misses = [...text.matchAll(MISS)].map((found) => found.index + 2);
      requests.push({ bytes: Buffer.from(text), misses });
      size += text.length;
      if (requests.length >= MAX_REQUESTS || size >= MAX_BYTES) break;
    }
    this.#requests = requests;
    // Each seed has its own misses: another run uses the same ones only after a million requests.
    this.#misses = (seed * 1_000_000) % 10 ** MISS_DIGITS;
  }

  /** Returns the next request. Its bytes are valid until the list returns to it. */
  next(): Buffer {
    const request = this.#requests[this.#next]!;
    this.#next = (this.#next + 1) % this.#requests.length;
    for (const at of request.misses) {
      this.#misses = (this.#misses + 1) % 10 ** MISS_DIGITS;
      request.bytes.write(missId(this.#misses).slice(1), at, MISS_DIGITS, 'latin1');
    }
    return request.bytes;
  }
}
