/**
 * The HTTP server of the API process: GraphQL, SSE, WebSocket, REST, metrics and health.
 *
 * Invariants
 * 1. Every endpoint except /health, /ready and the page for browsers requires authentication first.
 * 2. Every refusal has an error code; an unexpected error shows only the id of its log entry.
 * 3. `close` proceeds in this order: /ready is 503, the grace passes, streams end, running operations finish, connections close.
 */
import { randomUUID } from 'node:crypto';
import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import Fastify, { type FastifyError, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { ERRORS, FStoreError } from '../errors.js';
import { FastLane } from '../schema/lane/fast-lane.js';
import type { LiveSchema } from '../schema/live-schema.js';
import type { OperationCheck } from '../schema/operation-check.js';
import { RequestContext, type RequestServices } from '../schema/request-context.js';
import { PORTION, responseTooLarge } from '../schema/response-budget.js';
import { listenError, systemError } from '../system-error.js';
import type { Authenticate } from './authentication.js';
import { BodyMemory, countBodies } from './body-memory.js';
import { Drain } from './drain.js';
import { openFrontDoor, whenClosed } from './front-door.js';
import { formatGraphqlError, type ReportDefect } from './graphql-error.js';
import { type HealthOptions, PROBE_PATHS, registerHealth } from './health.js';
import { errorBody, GRAPHQL_PATH, refusalOf } from './http-error.js';
import { registerLandingPage, registerSchemaText } from './landing-page.js';
import { LoadLimit } from './load-limit.js';
import { registerMetrics } from './metrics-door.js';
import { OperationGate } from './operation-gate.js';
import { OperationRun } from './operation-run.js';
import type { OriginPolicy } from './origin-policy.js';
import { RequestLog, requestIdOf } from './request-log.js';
import { answerClientError, timeoutOptions } from './request-timeout.js';
import { registerRest } from './rest.js';
import { registerSse } from './sse-door.js';
import { registerTrainingSets, TRAINING_SETS_PATH } from './training-set-door.js';
import { openWebSocketDoor } from './websocket-door.js';

/** The dependencies and limits of the HTTP server. */
export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly live: LiveSchema;
  readonly services: RequestServices;
  readonly authenticate: Authenticate;
  readonly origins: OriginPolicy;
  /** True if requests need an API key. */
  readonly hasKeys: boolean;
  readonly limits: {
    readonly maxBodyBytes: number;
    readonly maxInFlight: number;
    /** Milliseconds. */
    readonly requestTimeout: number;
    readonly maxConnections: number;
    readonly maxBufferedBytes: number;
    readonly maxSubscriptions: number;
    readonly maxSubscriptionsPerConnection: number;
  };
  readonly check: OperationCheck;
  /** True to run only registered documents and FStore's own. */
  readonly onlyRegistered: boolean;
  /** Documents of FStore's own command line. */
  readonly ownDocuments: readonly string[];
  /** True to answer plain reads of features in front of Apollo. */
  readonly fastLane: boolean;
  readonly log: Logger;
  readonly probes: HealthOptions['probes'];
  /** Returns how many workers are alive. Rejects if its store does not answer. */
  readonly countWorkers: HealthOptions['countWorkers'];
  /** Milliseconds from which a request is logged as slow. */
  readonly slowRequestMs: number;
  /** Milliseconds that a stopping process still answers, while /ready is 503. */
  readonly shutdownGraceMs: number;
  /** False while this process cannot follow the registry and serves the last known definitions. */
  readonly isRegistryFollowed: () => boolean;
}

/** A listening server. */
export interface HttpServer {
  /** `http://host:port` */
  readonly url: string;
  close(): Promise<void>;
}

const STREAM_PATH = `${GRAPHQL_PATH}/stream`;
const METRICS_PATH = '/metrics';
/** Characters below which the bytes of an answer are not counted. */
const SMALL_ANSWER = 1_000;

function actorOf(request: FastifyRequest): string {
  return (request.raw as { actor?: string }).actor ?? 'anonymous';
}

/** Starts the server. Resolves when it accepts requests. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { live, services, limits, log, authenticate, origins, check, onlyRegistered } = options;
  const load = new LoadLimit(limits.maxInFlight);
  const report: ReportDefect = (error) => {
    const id = randomUUID();
    log.error({ err: error, report: id }, 'defect');
    return id;
  };
  // The operator can mend it: the log names the path, and the client sees the reason.
  const mendable = (error: unknown): FStoreError | null => {
    const known = systemError(error, 'reason');
    if (known) log.error({ err: error, code: known.code }, 'a file or folder cannot be used');
    return known;
  };
  const { answers } = services;
  const gate = new OperationGate({ live, check, onlyRegistered, ownDocuments: options.ownDocuments });
  const apollo = new ApolloServer<RequestContext>({
    gateway: live.gateway(),
    introspection: true,
    includeStacktraceInErrorResponses: false,
    hideSchemaDetailsFromClientErrors: false,
    maxRecursiveSelections: true,
    parseOptions: { maxTokens: check.maxTokens },
    // Otherwise a client could store any document and run it by its hash.
    ...(onlyRegistered ? { persistedQueries: false } : {}),
    formatError: (formatted, error) => formatGraphqlError(formatted, error, report),
    logger: log,
    stopOnTerminationSignals: false,
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
      ApolloServerPluginLandingPageDisabled(),
    ],
  });
  await apollo.start();

  const app = Fastify({
    bodyLimit: limits.maxBodyBytes,
    forceCloseConnections: 'idle',
    // A request that comes while the process stops is answered as any other.
    return503OnClosing: false,
    genReqId: requestIdOf,
    logger: false,
    requestTimeout: limits.requestTimeout,
    http: timeoutOptions(limits.requestTimeout),
    clientErrorHandler: answerClientError,
  });
  app.server.maxConnections = limits.maxConnections;
  const memory = new BodyMemory(limits.maxBufferedBytes);
  const drain = new Drain(app.server);
  const requests = new RequestLog(log, options.slowRequestMs);
  requests.register(app, STREAM_PATH);
  const admit = requests.watchKeys(authenticate);
  registerLandingPage(app, options.hasKeys);
  app.addHook('onRequest', async (request) => {
    if (PROBE_PATHS.has(request.url)) return;
    (request.raw as { actor?: string }).actor = admit(request.headers.authorization, request);
  });
  app.addHook('onSend', async (request, reply, payload) => {
    if (typeof payload !== 'string' || payload.length < SMALL_ANSWER) return payload;
    try {
      const length = Buffer.byteLength(payload);
      if (length > answers.limit) throw responseTooLarge(answers.limit);
      if (length > PORTION) whenClosed(reply.raw, answers.hold(length));
      return payload;
    } catch (error) {
      const refusal = error as FStoreError;
      const body = `${JSON.stringify(errorBody(refusal, request.url))}\n`;
      reply.code(refusal.entry.status).header('content-length', Buffer.byteLength(body));
      return body;
    }
  });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const known = error instanceof FStoreError ? error : (refusalOf(error) ?? mendable(error));
    if (known) return reply.code(known.entry.status).send(errorBody(known, request.url));
    const id = report(error);
    return reply.code(500).send({
      error: { message: 'Internal error', code: 'INTERNAL', status: 500, cure: ERRORS.INTERNAL.cure, report: id },
    });
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new FStoreError('NOT_FOUND', `there is no ${request.method} ${request.url.slice(0, 200)}`);
    return reply.code(404).send(errorBody(error, request.url));
  });
  app.route({
    url: GRAPHQL_PATH,
    method: ['GET', 'POST'],
    preHandler: async (request) => gate.admit(request),
    handler: fastifyApolloHandler(apollo, {
      context: async (request) => new RequestContext(services, actorOf(request)),
    }),
  });
  const run = new OperationRun({ ...{ live, services, gate, load, report }, ...limits });
  registerSse(app, STREAM_PATH, run, actorOf);
  registerRest(app, services, actorOf);
  registerTrainingSets(app, services, limits.requestTimeout);
  registerSchemaText(app, live, onlyRegistered);
  registerHealth(app, options, { isStopping: () => drain.isDraining });
  const lane = options.fastLane
    ? new FastLane({
        live,
        query: services.query,
        maxKeys: services.maxKeys,
        answers,
        now: services.now,
        check,
        onlyRegistered,
      })
    : null;
  openFrontDoor(app, {
    ...{ lane, path: GRAPHQL_PATH, authenticate, origins, load, memory, requests, maxBodyBytes: limits.maxBodyBytes },
    isExempt: (path) => PROBE_PATHS.has(path) || path === METRICS_PATH || path.startsWith(STREAM_PATH),
    overloaded: (path) =>
      JSON.stringify(errorBody(new FStoreError('OVERLOADED', 'too many requests are under way'), path)),
  });
  countBodies(app, memory, (path) => path.startsWith(TRAINING_SETS_PATH));
  registerMetrics(app, services, {
    ...{ lane: lane?.counts ?? null, load },
    isRegistryFollowed: options.isRegistryFollowed,
    countWorkers: options.countWorkers,
  });
  const closeWebSockets = openWebSocketDoor(app.server, {
    path: GRAPHQL_PATH,
    authenticate: admit,
    origins,
    run,
    memory,
  });
  const { host, port } = options;
  const url = await app.listen({ host, port }).catch((error) => {
    throw listenError(error, host, port);
  });
  return {
    url,
    close: async () => {
      await drain.run(options.shutdownGraceMs);
      // Streams end first, because the connection of an open stream never becomes idle.
      await services.updates.stop();
      await closeWebSockets();
      await app.close();
      load.close();
      await apollo.stop();
    },
  };
}
