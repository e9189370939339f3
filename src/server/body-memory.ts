/**
 * How many bytes of request bodies a process holds: read and not yet answered, over all connections.
 *
 * A body that comes in one piece costs nothing to count, because it is not counted: requests in flight are limited already.
 */
import type { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { FStoreError } from '../errors.js';

export class BodyMemory {
  readonly #max: number;
  #held = 0;

  /** `max`: bytes that the process may hold. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held;
  }

  /** Takes bytes. Returns false if there is no room for them, and then takes nothing. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#max) return false;
    this.#held += bytes;
    return true;
  }

  /** Gives bytes back that `take` took. */
  give(bytes: number): void {
    this.#held -= bytes;
  }
}

/** The refusal of a body for which there is no room. */
function noRoom(): FStoreError {
  return new FStoreError('OVERLOADED', 'the bodies of unfinished requests fill FSTORE_MAX_BUFFERED_BYTES');
}

/** Counts the bodies that Fastify reads, until they are answered; those of `isStreamed` go to disk and are not counted. */
export function countBodies(app: FastifyInstance, memory: BodyMemory, isStreamed: (url: string) => boolean): void {
  app.addHook('preParsing', (request, reply, payload, done) => {
    done(null, payload);
    const isCounted = (request.raw as { bodyRead?: Buffer }).bodyRead !== undefined;
    if (isCounted || isStreamed(request.url)) return;
    let bytes = 0;
    const count = (chunk: Buffer): void => {
      if (memory.take(chunk.length)) bytes += chunk.length;
      else {
        payload.off('data', count);
        reply.header('connection', 'close').header('retry-after', '1');
        (payload as Readable).emit('error', Object.assign(noRoom(), { statusCode: 503 }));
      }
    };
    payload.on('data', count);
    reply.raw.once('close', () => memory.give(bytes));
  });
}
