/**
 * GraphQL over SSE, in the “distinct connections mode” of the graphql-sse protocol: each request is one operation with a stream of its own.
 *
 * Boundary: graphql-sse's server is not used. It keeps all results that a client has not read, and its other mode shares streams by tokens.
 *
 * Invariants
 * 1. A stream belongs to the request that opened it. No request reaches the stream of another one.
 * 2. A result is taken only after the one before has left this process: a client that does not read costs one result, and gets the newest
 *    value of each entity afterwards.
 * 3. When the client goes, everything that belongs to its operation is freed at once.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { GraphQLFormattedError } from 'graphql';
import { FStoreError } from '../errors.js';
import { formatErrors, formatResult } from './graphql-error.js';
import type { OperationRequest } from './operation-gate.js';
import type { Begun, OperationRun } from './operation-run.js';

const EVENT_STREAM = 'text/event-stream';
/** Milliseconds between two comments, by which proxies keep a stream and dead connections are noticed. */
const KEEP_ALIVE = 12_000;
const COMMENT = ':\n\n';

/** Registers the SSE door at `path`. Calls come authenticated. */
export function registerSse(
  app: FastifyInstance,
  path: string,
  run: OperationRun,
  actorOf: (request: FastifyRequest) => string,
): void {
  app.route({
    url: path,
    method: ['GET', 'POST'],
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      if (!request.headers.accept?.toLowerCase().includes(EVENT_STREAM)) {
        const message = `${path} answers as ${EVENT_STREAM} only, which the request does not accept`;
        throw new FStoreError('NOT_ACCEPTABLE', message, { field: 'Accept' });
      }
      const method = request.method === 'GET' ? 'GET' : 'POST';
      const operation = method === 'GET' ? readAddress(request) : readBody(request.body);
      const begun = await run.begin(operation, { actor: actorOf(request), subscriptions: 0 }, method);
      if (begun.kind === 'refused') return sendErrors(reply, formatErrors(begun.errors, run.report));
      reply.hijack();
      reply.raw.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': `${EVENT_STREAM}; charset=utf-8`,
        'cache-control': 'no-cache, no-transform',
        // Else nginx holds events back.
        'x-accel-buffering': 'no',
      });
      await sendStream(reply.raw, begun, run);
      return reply;
    },
  });
  app.route({
    url: path,
    method: ['PUT', 'DELETE'],
    handler: async (request, reply) => {
      reply.header('allow', 'GET, POST');
      const message = `${request.method} ${path}: streams are not reserved, each request opens its own`;
      throw new FStoreError('METHOD_NOT_ALLOWED', message);
    },
  });
}

function sendErrors(reply: FastifyReply, errors: readonly GraphQLFormattedError[]): FastifyReply {
  const status = Number(errors[0]?.extensions?.status ?? 400);
  if (status === 503) reply.header('retry-after', '1');
  return reply.code(status).send({ errors });
}

async function sendStream(response: ServerResponse, begun: Exclude<Begun, { kind: 'refused' }>, run: OperationRun) {
  const close = (): void => {
    clearInterval(timer);
    if (begun.kind === 'stream') begun.end();
  };
  const timer = setInterval(() => {
    if (!response.writableNeedDrain) response.write(COMMENT);
  }, KEEP_ALIVE);
  response.once('close', close);
  try {
    // Some browsers take no notice of a stream before its first byte.
    await write(response, COMMENT);
    if (begun.kind === 'result') await write(response, eventOf(begun.result, run));
    else {
      for await (const result of begun.results) {
        await write(response, eventOf(result, run));
        if (response.destroyed) return;
      }
    }
    await write(response, 'event: complete\ndata:\n\n');
  } catch (error) {
    const errors = formatErrors([error as Error], run.report);
    await write(response, `event: next\ndata: ${JSON.stringify({ errors })}\n\nevent: complete\ndata:\n\n`);
  } finally {
    close();
    response.off('close', close);
    response.end();
  }
}

function eventOf(result: Parameters<typeof formatResult>[0], run: OperationRun): string {
  return `event: next\ndata: ${JSON.stringify(formatResult(result, run.report))}\n\n`;
}

/** Resolves when there is room for more, or when the client has gone. */
async function write(response: ServerResponse, text: string): Promise<void> {
  if (response.destroyed || response.write(text) || response.destroyed) return;
  const gone = new AbortController();
  try {
    await Promise.race([
      once(response, 'drain', { signal: gone.signal }),
      once(response, 'close', { signal: gone.signal }),
    ]);
  } finally {
    gone.abort();
  }
}

function readAddress(request: FastifyRequest): OperationRequest {
  const { variables, extensions, ...others } = request.query as Record<string, unknown>;
  return readBody({
    ...others,
    variables: readJson(variables, 'variables'),
    extensions: readJson(extensions, 'extensions'),
  });
}

function readJson(text: unknown, field: string): unknown {
  if (text === undefined || text === '') return undefined;
  try {
    return JSON.parse(String(text));
  } catch {
    throw new FStoreError('BAD_REQUEST', `${field} is not valid JSON`, { field });
  }
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Throws BAD_REQUEST, which names the field. */
function readBody(body: unknown): OperationRequest {
  if (!isObject(body)) {
    throw new FStoreError('BAD_REQUEST', 'the body is not a JSON object of type application/json', { field: 'body' });
  }
  const request = body as Record<string, unknown>;
  const forms: [string, (value: unknown) => boolean, string][] = [
    ['query', (value) => typeof value === 'string', 'a text'],
    ['operationName', (value) => typeof value === 'string', 'a text'],
    ['variables', isObject, 'an object'],
    ['extensions', isObject, 'an object'],
  ];
  for (const [field, fits, form] of forms) {
    if (request[field] != null && !fits(request[field])) {
      throw new FStoreError('BAD_REQUEST', `${field} is not ${form}`, { field });
    }
  }
  const isNamed = request.documentId != null || request.id != null || request.extensions != null;
  if (request.query == null && !isNamed) throw new FStoreError('BAD_REQUEST', 'there is no query', { field: 'query' });
  return { ...request, query: request.query ?? '' } as OperationRequest;
}
