/** The doors of subscriptions: graphql-ws on the GraphQL path, graphql-sse beside it. Both run every kind of operation. */
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ExecutionArgs, type ExecutionResult, type GraphQLError } from 'graphql';
import { createHandler } from 'graphql-sse/lib/use/fastify';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import { FStoreError } from '../errors.js';
import type { LiveSchema } from '../schema/live-schema.js';
import { subscribeLive } from '../schema/live-subscription.js';
import { RequestContext, type RequestServices } from '../schema/request-context.js';
import type { Authenticate } from './authentication.js';
import { formatErrors, formatResult, type ReportDefect } from './graphql-error.js';
import type { OperationGate, OperationRequest } from './operation-gate.js';
import { guardUpgrade } from './origin-guard.js';
import type { OriginPolicy } from './origin-policy.js';

const MAX_MESSAGE_BYTES = 1_000_000;
const CLOSE_FORBIDDEN = 4403;

export interface DoorOptions {
  readonly live: LiveSchema;
  readonly services: RequestServices;
  readonly authenticate: Authenticate;
  readonly origins: OriginPolicy;
  readonly gate: OperationGate;
  readonly report: ReportDefect;
}

function prepare(
  options: DoorOptions,
  request: OperationRequest,
  actor: string,
): ExecutionArgs | readonly GraphQLError[] {
  return options.gate.prepare(request, new RequestContext(options.services, actor));
}

function runInBudget(args: ExecutionArgs): ExecutionResult | Promise<ExecutionResult> {
  return (args.contextValue as RequestContext).response.run(args);
}

/** Answers graphql-ws on upgrades of `path`. Returns a function that ends all connections. */
export function openWebSocketDoor(server: Server, path: string, options: DoorOptions): () => Promise<void> {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });
  const actors = new WeakMap<object, string>();
  const disposable = useServer(
    {
      onConnect: (context) => {
        const header = context.extra.request.headers.authorization;
        const parameter = context.connectionParams?.authorization;
        try {
          actors.set(context.extra, options.authenticate(typeof parameter === 'string' ? parameter : header));
          return true;
        } catch (error) {
          if (!(error instanceof FStoreError)) throw error;
          context.extra.socket.close(CLOSE_FORBIDDEN, error.code);
          return false;
        }
      },
      onSubscribe: (context, _id, payload) => {
        return prepare(options, payload, actors.get(context.extra) ?? 'anonymous');
      },
      execute: runInBudget,
      subscribe: (args) => subscribeLive(args, options.live),
      onNext: (_context, _id, _payload, _args, result) => formatResult(result, options.report),
      onError: (_context, _id, _payload, errors) => formatErrors(errors, options.report),
    },
    sockets,
  );
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (guardUpgrade(options.origins, request, socket)) return;
    if (request.url?.split('?')[0] !== path) {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => sockets.emit('connection', webSocket, request));
  };
  server.on('upgrade', upgrade);
  return async () => {
    server.off('upgrade', upgrade);
    await disposable.dispose();
  };
}

/** The handler of the SSE door. Calls come authenticated: `request.actor` is set. */
export function createSseDoor(options: DoorOptions): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return createHandler({
    onSubscribe: (request, parameters) => {
      const actor = (request.raw as { actor?: string }).actor ?? 'anonymous';
      const prepared = prepare(options, parameters as OperationRequest, actor);
      if ('document' in prepared) return prepared as ExecutionArgs & { contextValue: undefined };
      const errors = formatErrors(prepared, options.report);
      const status = Number(errors[0]?.extensions?.status ?? 400);
      const headers = { 'content-type': 'application/json; charset=utf-8' };
      return [JSON.stringify({ errors }), { status, statusText: STATUS_CODES[status] ?? '', headers }];
    },
    execute: runInBudget,
    subscribe: (args: ExecutionArgs) => subscribeLive(args, options.live),
    onNext: (_context, _request, result) => formatResult(result as ExecutionResult, options.report) as ExecutionResult,
  });
}
