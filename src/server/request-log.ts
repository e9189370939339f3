/**
 * What the log says of requests: their ids, slow ones, and refused keys. Never a key, never variables.
 *
 * Invariant: refusals cost at most one line in REFUSAL_PAUSE, however many there are.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { FStoreError } from '../errors.js';
import type { Authenticate } from './authentication.js';

/** Header of the id of a request, in requests and in answers. */
export const REQUEST_ID_HEADER = 'x-request-id';
const SANE_ID = /^[A-Za-z0-9._:-]{1,64}$/;
const REFUSAL_PAUSE = 10_000;
const OPERATION_NAME = /^[^{(]*?\b(?:query|mutation|subscription)\s+([A-Za-z_]\w*)/;
/** Only the first characters of a document are searched for the name of its operation. */
const SEARCHED = 2_000;
const SANE_NAME = /^[A-Za-z_]\w{0,99}$/;

/** Returns the id that a request brings, or null if it brings none or one that is not a short token. */
export function givenRequestId({ headers }: IncomingMessage): string | null {
  const given = headers[REQUEST_ID_HEADER];
  return typeof given === 'string' && SANE_ID.test(given) ? given : null;
}

/** Returns the id that a request brings, or a new one. */
export function requestIdOf(request: IncomingMessage): string {
  return givenRequestId(request) ?? randomUUID();
}

/** The name of the operation of a GraphQL request, from its parsed body; null if it has none. */
function operationNameOf(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null;
  const { operationName, query } = body as Record<string, unknown>;
  if (typeof operationName === 'string' && SANE_NAME.test(operationName)) return operationName;
  return typeof query === 'string' ? (OPERATION_NAME.exec(query.slice(0, SEARCHED))?.[1] ?? null) : null;
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}

export class RequestLog {
  /** Milliseconds from which a request is slow. */
  readonly slowMs: number;
  readonly #log: Logger;
  #refused = 0;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(log: Logger, slowMs: number) {
    this.#log = log;
    this.slowMs = slowMs;
  }

  /** Gives every request of Fastify its id, echoes it, and logs slow answers. Paths of `streams` may take long. */
  register(app: FastifyInstance, streams: string): void {
    app.addHook('onRequest', async (request, reply) => {
      reply.header(REQUEST_ID_HEADER, request.id);
    });
    app.addHook('onResponse', async (request, reply) => {
      const durationMs = Math.round(reply.elapsedTime);
      if (durationMs < this.slowMs || request.url.startsWith(streams)) return;
      const { id, method, url } = request;
      this.#slow({ id, method, path: pathOf(url), body: request.body, status: reply.statusCode, durationMs });
    });
  }

  /** Logs a request that the fast lane answered slowly. */
  slowInLane(request: IncomingMessage, bytes: Buffer, durationMs: number): void {
    const { method = '', url = '' } = request;
    const body = parse(bytes);
    this.#slow({ id: requestIdOf(request), method, path: pathOf(url), body, status: 200, durationMs });
  }

  /** Returns `authenticate` that also logs refusals. */
  watchKeys(authenticate: Authenticate): (authorization: string | undefined, request?: FastifyRequest) => string {
    return (authorization, request) => {
      try {
        return authenticate(authorization);
      } catch (error) {
        if (error instanceof FStoreError && error.code === 'UNAUTHENTICATED') this.#refuse(error.message, request);
        throw error;
      }
    };
  }

  #refuse(reason: string, request: FastifyRequest | undefined): void {
    this.#refused += 1;
    const now = performance.now();
    if (now - this.#saidAt < REFUSAL_PAUSE) return;
    const last = request ? { requestId: request.id, address: request.ip, path: pathOf(request.url) } : {};
    const fields = { code: 'UNAUTHENTICATED', reason, requests: this.#refused, ...last };
    this.#log.warn(fields, 'requests are refused for their API key');
    this.#saidAt = now;
    this.#refused = 0;
  }

  #slow(one: { id: string; method: string; path: string; body: unknown; status: number; durationMs: number }): void {
    const { id: requestId, body, ...fields } = one;
    const durationMs = Math.round(one.durationMs);
    this.#log.warn({ requestId, ...fields, durationMs, operation: operationNameOf(body) }, 'a request was slow');
  }
}

function pathOf(url: string): string {
  return url.split('?')[0]!.slice(0, 200);
}
