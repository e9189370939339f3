/**
 * The front of the server, which every request passes first: the policy on other sites, the limit of requests in
 * flight, and the fast lane for plain GraphQL requests. Requests that the lane does not answer go on to Fastify
 * unchanged, with the body that was read.
 *
 * Invariants
 * 1. Who may not come in by the other door may not come in by the lane: the same authentication, body limit and content types, and a
 *    content type that a form of another site can send is not among them (CSRF).
 * 2. No request of a page of another site comes in, whatever its path and content type (`origin-policy.ts`).
 * 3. The fast lane refuses nothing but answers that are too large. A request beyond the bound is refused before anything is read or looked up: with 503 and Retry-After.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { FastLane } from '../schema/lane/fast-lane.js';
import type { Authenticate } from './authentication.js';
import type { BodyMemory } from './body-memory.js';
import type { LoadLimit } from './load-limit.js';
import { guardRequest } from './origin-guard.js';
import type { OriginPolicy } from './origin-policy.js';
import { givenRequestId, REQUEST_ID_HEADER, type RequestLog } from './request-log.js';

/** The dependencies of the front of the server. */
export interface FrontDoorOptions {
  /** Null if Apollo answers everything. */
  readonly lane: FastLane | null;
  readonly path: string;
  readonly authenticate: Authenticate;
  readonly maxBodyBytes: number;
  readonly origins: OriginPolicy;
  /** Counts requests from the moment that they have arrived completely; streams that last long are not counted. */
  readonly load: LoadLimit;
  readonly memory: BodyMemory;
  /** Returns whether a path is answered under any load, or its answers stream. */
  readonly isExempt: (url: string) => boolean;
  /** Told of slow requests. */
  readonly requests: RequestLog;
  /** Returns the body of a refusal because of overload. */
  readonly overloaded: (url: string) => string;
}

const JSON_TYPES: ReadonlySet<string | undefined> = new Set([
  'application/json',
  'application/json; charset=utf-8',
  'application/json;charset=utf-8',
  'application/json; charset=UTF-8',
  'application/json;charset=UTF-8',
]);
const JSON_ANSWER = 'application/json; charset=utf-8';
const GRAPHQL_ANSWER = 'application/graphql-response+json; charset=utf-8';
/** The content type of Apollo's answer, by what the client accepts. Requests with other values go to Apollo. */
const ANSWER_TYPES: ReadonlyMap<string | undefined, string> = new Map([
  [undefined, JSON_ANSWER],
  ['*/*', JSON_ANSWER],
  ['application/json', JSON_ANSWER],
  ['application/json, text/plain, */*', JSON_ANSWER],
  ['application/json, */*', JSON_ANSWER],
  ['application/graphql-response+json', GRAPHQL_ANSWER],
  ['application/graphql-response+json, application/json', GRAPHQL_ANSWER],
  ['application/graphql-response+json,application/json;q=0.9', GRAPHQL_ANSWER],
  ['application/graphql-response+json, application/json;q=0.9', GRAPHQL_ANSWER],
]);
/** Up to this size the answer is sent together with its header, which costs a copy and saves a write. */
const MAX_TOGETHER = 16_384;

/** A request whose body was read before Fastify received it. */
interface ReadRequest extends IncomingMessage {
  bodyRead?: Buffer;
}

/** Installs the front of the server before Fastify's request listeners. */
export function openFrontDoor(app: FastifyInstance, options: FrontDoorOptions): void {
  const { lane, isExempt, load, memory, origins } = options;
  // A refusal must be cheap, or the process would only refuse.
  const overloaded = { graphql: options.overloaded(options.path), other: options.overloaded('/') };
  app.addHook('preParsing', (request, _, payload, done) => {
    const { bodyRead } = request.raw as ReadRequest;
    done(null, bodyRead ? Readable.from([bodyRead]) : payload);
  });
  const listeners = app.server.listeners('request') as RequestListener[];
  const others: RequestListener = (request, response) => {
    if (!isExempt(request.url ?? '')) whenRead(request, () => countUntilClosed(response, load));
    for (const listener of listeners) listener.call(app.server, request, response);
  };
  app.server.removeAllListeners('request');
  app.server.on('request', (request: ReadRequest, response: ServerResponse) => {
    if (guardRequest(origins, request, response)) return;
    const url = request.url ?? '';
    if (load.isFull && !isExempt(url)) {
      load.shed += 1;
      sendOverloaded(response, url.startsWith(options.path) ? overloaded.graphql : overloaded.other);
      return;
    }
    const answerType = lane ? answerTypeOf(request, options) : null;
    if (!lane || answerType === null) others(request, response);
    else
      readBody(request, response, memory, overloaded.graphql, (bytes) => {
        request.bodyRead = bytes;
        takeRequest(lane, load, request, response, bytes, answerType, others, options.requests);
      });
  });
}

/** Calls `done` when the whole request has arrived, so that slowly sent requests do not count against the limit. */
function whenRead(request: ReadRequest, done: () => void): void {
  const { headers } = request;
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
  if (request.bodyRead || !hasBody) done();
  else request.once('end', done);
}

function countUntilClosed(response: ServerResponse, load: LoadLimit): void {
  if (response.closed) return;
  load.enter();
  response.once('close', () => load.leave());
}

/** Calls `done` when nothing of a response is left to be sent. */
export function whenClosed(response: ServerResponse, done: () => void): void {
  if (response.closed || response.destroyed) done();
  else response.once('close', done);
}

function sendOverloaded(response: ServerResponse, body: string): void {
  const length = `${Buffer.byteLength(body)}`;
  response.writeHead(503, ['content-type', JSON_ANSWER, 'content-length', length, 'retry-after', '1']).end(body);
}

/**
 * Returns the content type of the answer if the fast lane may take a request; null if the request goes to Fastify
 * unread.
 */
function answerTypeOf(request: IncomingMessage, { path, authenticate, maxBodyBytes }: FrontDoorOptions): string | null {
  if (request.url !== path || request.method !== 'POST') return null;
  const { headers } = request;
  const answerType = ANSWER_TYPES.get(headers.accept);
  if (answerType === undefined || !JSON_TYPES.has(headers['content-type'])) return null;
  if (headers['content-encoding'] !== undefined || headers['transfer-encoding'] !== undefined) return null;
  if (!(Number(headers['content-length']) <= maxBodyBytes)) return null;
  try {
    authenticate(headers.authorization);
  } catch {
    return null;
  }
  return answerType;
}

/** Calls `done` with the whole body. A body that does not come in one piece is counted until it is answered. */
function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  memory: BodyMemory,
  refusal: string,
  done: (bytes: Buffer) => void,
): void {
  const length = Number(request.headers['content-length']);
  let first: Buffer | null = null;
  let chunks: Buffer[] | null = null;
  let held = 0;
  const read = (chunk: Buffer): void => {
    if (!first && chunk.length < length) response.once('close', () => memory.give(held));
    if (!first) first = chunk;
    else if (chunks) chunks.push(chunk);
    else chunks = [first, chunk];
    if (chunk.length === length) return;
    if (memory.take(chunk.length)) {
      held += chunk.length;
      return;
    }
    [first, chunks] = [null, null];
    request.off('data', read).off('end', finish).resume();
    response.setHeader('connection', 'close');
    sendOverloaded(response, refusal);
  };
  const finish = (): void => done(chunks ? Buffer.concat(chunks) : (first ?? Buffer.alloc(0)));
  request.on('data', read);
  request.on('end', finish);
}

function takeRequest(
  lane: FastLane,
  load: LoadLimit,
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  answerType: string,
  others: RequestListener,
  requests: RequestLog,
): void {
  load.enter();
  const begun = performance.now();
  lane.answer(bytes, (answer, status, free) => {
    if (answer) {
      load.leave();
      const took = performance.now() - begun;
      if (took >= requests.slowMs) requests.slowInLane(request, bytes, took);
      if (free) whenClosed(response, free);
      return sendAnswer(response, status, answer, answerType, givenRequestId(request));
    }
    load.withdraw();
    others(request, response);
    return false;
  });
}

/** Returns true if the bytes have left for the kernel, so that their memory is free. */
function sendAnswer(
  response: ServerResponse,
  status: number,
  answer: Buffer,
  answerType: string,
  requestId: string | null,
): boolean {
  const headers = ['content-type', answerType, 'content-length', `${answer.length}`];
  if (requestId !== null) headers.push(REQUEST_ID_HEADER, requestId);
  response.writeHead(status, headers);
  // Latin-1 gives every byte as it is.
  if (answer.length <= MAX_TOGETHER) response.end(answer.toString('latin1'), 'latin1');
  else response.end(answer);
  return answer.length <= MAX_TOGETHER || response.writableLength === 0;
}
