/**
 * Puts a process together: the only importer of adapters.
 *
 * Invariants
 * 1. What is opened first is closed last; a start that fails closes what it had opened.
 * 2. Without configuration everything is embedded; each store is replaced by naming its server.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import pino, { type Logger } from 'pino';
import type { EventBus } from './bus/event-bus.js';
import { connectKafkaBus } from './bus/event-bus-kafka.js';
import { connectPostgresBus } from './bus/event-bus-postgres.js';
import { readVersion } from './cli/version.js';
import { type Config, readConfig } from './config.js';
import { FStoreError } from './errors.js';
import { createBatchEngine } from './materialization/batch-engine-choice.js';
import { createBuiltinBatchEngine } from './materialization/batch-engine-postgres.js';
import { createSparkBatchEngine } from './materialization/batch-engine-spark.js';
import { createSparkDriver } from './materialization/engine-driver-spark.js';
import { createEngineJoin } from './materialization/engine-join-run.js';
import { FreshnessReader } from './materialization/freshness.js';
import { Ingestion } from './materialization/ingestion.js';
import { JobRunner } from './materialization/job-runner.js';
import { MaterializationSchedule } from './materialization/materialization-schedule.js';
import { createMaterializeHandler, MATERIALIZE_JOB } from './materialization/materialize-job.js';
import { payloadFormats } from './materialization/payload-format.js';
import { SchemaRegistry } from './materialization/schema-registry.js';
import { SourceChecker } from './materialization/source-check.js';
import { sourceContracts } from './materialization/source-contract.js';
import { StagedMerger } from './materialization/staged-merger.js';
import { createStreamHandler, STREAM_JOB } from './materialization/stream-job.js';
import { StreamSchedule } from './materialization/stream-schedule.js';
import { Worker } from './materialization/worker.js';
import { Writer } from './materialization/writer.js';
import { connecting } from './outage.js';
import { RegistryFollower } from './registry/registry-follower.js';
import { connectMongoRegistry } from './registry/registry-mongo.js';
import { connectPostgresRegistry } from './registry/registry-postgres.js';
import type { Snapshot } from './registry/snapshot.js';
import { expressionWatch } from './retrieval/expression-watch.js';
import { OnlineQuery } from './retrieval/online-query.js';
import { createBuiltinJoin } from './retrieval/point-in-time-join-builtin.js';
import { createSparkJoin } from './retrieval/point-in-time-join-spark.js';
import { createTrainingSetHandler, TRAINING_SET_JOB } from './retrieval/training-set-job.js';
import { UpdateFeed } from './retrieval/update-feed.js';
import { buildControlSchema, reservedNames } from './schema/control/control-schema.js';
import { DefinitionApply } from './schema/definition-apply.js';
import { LiveSchema } from './schema/live-schema.js';
import { OperationCheck } from './schema/operation-check.js';
import { AnswerMemory } from './schema/response-budget.js';
import { createAuthenticate } from './server/authentication.js';
import { startHttpServer } from './server/http-server.js';
import { OriginPolicy } from './server/origin-policy.js';
import { startEmbeddedPostgres } from './store/embedded-postgres.js';
import { connectPostgresIntake } from './store/intake-postgres.js';
import { connectPostgresJobStore } from './store/job-store-postgres.js';
import { describeLogin } from './store/login-check-postgres.js';
import { connectPostgresOfflineStore } from './store/offline-store-postgres.js';
import type { OnlineStore } from './store/online-store.js';
import { MemoryOnlineStore } from './store/online-store-memory.js';
import { connectRedisOnlineStore } from './store/online-store-redis.js';
import { createClosedReader, type QueryReader } from './store/query-reader.js';
import { createPostgresQueryReader } from './store/query-reader-postgres.js';
import { connectPostgresStagedBatches } from './store/staged-batches-postgres.js';
import { WorkerPresence } from './store/worker-presence-postgres.js';
import { checkFolder, folderError } from './system-error.js';

/** How long a job waits for its worker after the last sign of life, milliseconds. */
const JOB_LEASE = 10_000;

/** Jobs that one worker does at the same time: one may wait for Spark for hours. */
const JOBS = 2;
/** Streams that one worker drives at the same time. */
const STREAMS = 4;

/** How many times the bytes of the largest answer the values may have that are read for it: an operation may select few of their features. */
const READ_FACTOR = 4;

/** What a process does: answer requests, process events, or both. */
export type Role = 'serve' | 'worker';

/** A running process. */
export interface RunningFStore {
  /** Address of the API; null for a worker alone. */
  readonly url: string | null;
  /** What it runs on, by role, in words. */
  readonly stores: Readonly<Record<string, string>>;
  /**
   * Stops gracefully: refuses new work, finishes what runs, closes in reverse order of opening.
   *
   * @param reason what asked for it, for the log: a signal, for example
   */
  close(reason?: string): Promise<void>;
}

type Closer = () => Promise<void>;

/** Opens stores, joins the bus and, for `serve`, listens. Throws the first thing that fails, with everything closed. */
export async function startFStore(
  config: Config,
  roles: readonly Role[],
  /** Documents that run whatever is registered: those of FStore's own command line. */
  ownDocuments: readonly string[] = [],
): Promise<RunningFStore> {
  const log = pino({ level: config.logLevel }, pino.destination({ fd: 2, sync: false }));
  const closers: Closer[] = [];
  const closeAll = async (): Promise<void> => {
    while (closers.length > 0) {
      try {
        await closers.pop()?.();
      } catch (error) {
        log.error({ err: error }, 'closing failed');
      }
    }
  };
  const close = async (reason = 'end of the program'): Promise<void> => {
    const begun = performance.now();
    log.info({ reason }, 'FStore stops');
    await closeAll();
    log.info({ reason, durationMs: Math.round(performance.now() - begun) }, 'FStore has stopped');
    log.flush();
  };
  const begun = performance.now();
  log.info({ version: readVersion(), node: process.versions.node, roles, project: config.project }, 'FStore starts');
  try {
    const opened = await open(config, roles, log, closers, ownDocuments);
    const limits = changedLimits(config);
    log.info({ ...opened, limits, durationMs: Math.round(performance.now() - begun) }, 'FStore is ready');
    return { ...opened, close };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** The reader of SQL that users write, or one that says why there is none. */
function openQueries({ queries: { allowed, timeout } }: Config, readUrl: string | null): QueryReader {
  if (!allowed) return createClosedReader('FSTORE_SQL_QUERIES is false');
  if (readUrl === null) return createClosedReader('FSTORE_POSTGRES_READ_URL is not set');
  return createPostgresQueryReader({ url: readUrl, timeout });
}

/** The limits that differ from their defaults. */
function changedLimits({ limits, eventLimits }: Config): Record<string, unknown> {
  const usual = readConfig({});
  const defaults: Record<string, unknown> = { ...usual.limits, ...usual.eventLimits };
  return Object.fromEntries(
    Object.entries({ ...limits, ...eventLimits }).filter(([name, value]) => value !== defaults[name]),
  );
}

async function open(
  config: Config,
  roles: readonly Role[],
  log: Logger,
  closers: Closer[],
  ownDocuments: readonly string[],
): Promise<Omit<RunningFStore, 'close'>> {
  const { project } = config;
  if (!config.redis && roles.length === 1) {
    const message = 'serve and worker apart need a Redis that both reach';
    throw new FStoreError('CONFIG_INVALID', message, { field: 'FSTORE_REDIS_URL' });
  }
  const warn = (message: string, error: unknown): void => log.warn({ err: error }, message);
  const note = (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>): void =>
    log[level](fields ?? {}, message);

  let { postgresUrl, postgresReadUrl: readUrl } = config;
  if (!postgresUrl) {
    const { dataFolder } = config;
    const embedded = await startEmbeddedPostgres({ dataFolder, log: note }).catch((error) => {
      throw folderError(error, 'FSTORE_DATA_DIR', dataFolder);
    });
    closers.push(() => embedded.stop());
    ({ url: postgresUrl, readUrl } = embedded);
  }
  const { folder: trainingFolder } = config.trainingSets;
  const isInData = !config.postgresUrl && trainingFolder === join(config.dataFolder, 'training-sets');
  await checkFolder(isInData ? 'FSTORE_DATA_DIR' : 'FSTORE_TRAINING_FOLDER', trainingFolder);
  if (config.spark && roles.includes('worker')) await checkFolder('FSTORE_SPARK_FOLDER', config.spark.folder);
  if (config.postgresUrl) {
    const warnings = await describeLogin(config.postgresUrl, false);
    if (readUrl) warnings.push(...(await describeLogin(readUrl, true)));
    for (const warning of warnings) log.warn(warning);
  }
  const queries = openQueries(config, readUrl);
  const toPostgres = { url: postgresUrl, project, log: note };
  const inPostgres = <T>(connect: () => Promise<T>): Promise<T> =>
    connecting('PostgreSQL', 'FSTORE_POSTGRES_URL', config.postgresUrl, connect);
  const offline = await inPostgres(() => connectPostgresOfflineStore(toPostgres));
  closers.push(() => offline.close());
  const jobs = await inPostgres(() => connectPostgresJobStore(toPostgres));
  closers.push(() => jobs.close());
  const { mongoUrl, kafkaBrokers } = config;
  const registry = mongoUrl
    ? await connecting('MongoDB', 'FSTORE_MONGO_URL', mongoUrl, () => connectMongoRegistry({ url: mongoUrl, project }))
    : await inPostgres(() => connectPostgresRegistry({ url: toPostgres.url, project }));
  closers.push(() => registry.close());
  const bus: EventBus = kafkaBrokers
    ? await connecting('Kafka', 'FSTORE_KAFKA_BROKERS', kafkaBrokers.join(','), () =>
        connectKafkaBus({
          brokers: kafkaBrokers,
          partitions: config.topicPartitions,
          sessionTimeout: config.kafkaSessionTimeout,
          log: note,
        }),
      )
    : await inPostgres(() =>
        connectPostgresBus({ url: toPostgres.url, partitions: config.topicPartitions, log: note }),
      );
  closers.push(() => bus.close());
  const online: OnlineStore = config.redis
    ? await connectRedisOnlineStore({ ...config.redis, log: note })
    : new MemoryOnlineStore();
  closers.push(() => online.close());

  const follower = await RegistryFollower.start({ registry, pollInterval: config.pollInterval, log: note });
  closers.push(() => follower.stop());
  const now = Date.now;
  const formats = payloadFormats(config.schemaRegistryUrl ? new SchemaRegistry(config.schemaRegistryUrl) : null);
  const stores = {
    online: config.redis ? 'Redis' : 'memory',
    offline: config.postgresUrl ? 'PostgreSQL' : 'embedded PostgreSQL',
    registry: config.mongoUrl ? 'MongoDB' : 'PostgreSQL',
    bus: config.kafkaBrokers ? 'Kafka' : 'PostgreSQL',
  };

  const presence = new WorkerPresence(toPostgres);
  closers.push(() => presence.close());

  if (roles.includes('worker')) {
    const writer = new Writer({ project, online, offline, bus, now });
    const staged = connectPostgresStagedBatches({ url: postgresUrl, project, log: note });
    closers.push(() => staged.close());
    const { spark, eventLimits: limits } = config;
    const contractOf = (source: string) => sourceContracts(follower.current, limits).get(source);
    const merger = new StagedMerger({ staged, offline, writer, contractOf, now });
    const debug = (message: string, fields: Record<string, unknown>): void => log.debug(fields, message);
    const driver =
      spark &&
      createSparkDriver({
        ...spark,
        sinkUrl: spark.sinkUrl ?? postgresUrl,
        readUrl: config.queries.allowed ? (spark.readUrl ?? readUrl) : null,
      });
    const worker = new Worker({
      follower,
      bus,
      offline,
      writer,
      limits,
      now,
      formats,
      settle: async (stream, views) => {
        await staged.fence(stream);
        await merger.drain(stream, views);
      },
      log: debug,
    });
    closers.push(() => worker.stop());
    const adopted = async (): Promise<Snapshot> => {
      const snapshot = await follower.refresh();
      await worker.adopted(snapshot.revision);
      return snapshot;
    };
    const runner = new JobRunner({
      jobs,
      owner: `${hostname()}.${process.pid}`,
      leaseMs: JOB_LEASE,
      concurrency: JOBS,
      handlers: {
        [MATERIALIZE_JOB]: createMaterializeHandler({
          jobs,
          limits,
          engine: createBatchEngine({
            builtin: createBuiltinBatchEngine({ queries, writer, folder: config.batchFolder, now }),
            spark: createSparkBatchEngine({ driver, staged, merger, queries, folder: config.batchFolder }),
            staged,
          }),
          snapshot: adopted,
        }),
        [TRAINING_SET_JOB]: createTrainingSetHandler({
          offline,
          queries,
          joins: {
            builtin: createBuiltinJoin(offline),
            spark: createSparkJoin(driver && createEngineJoin({ driver, project })),
          },
          folder: config.trainingSets.folder,
          snapshot: () => follower.refresh(),
        }),
      },
      log: note,
    });
    closers.push(() => runner.stop());
    runner.start();
    if (driver && spark && config.kafkaBrokers) {
      const stream = createStreamHandler({
        driver,
        staged,
        merger,
        queries,
        brokers: config.kafkaBrokers,
        maxEvents: spark.maxEvents,
        refresh: spark.refresh,
        folder: config.batchFolder,
        limits,
        snapshot: adopted,
        current: () => follower.current,
        log: (message, fields) => log.warn(fields, message),
      });
      // Streams run for as long as there are views for them, so other jobs must not wait for them.
      const streams = new JobRunner({
        jobs,
        owner: `${hostname()}.${process.pid}.streams`,
        leaseMs: JOB_LEASE,
        concurrency: STREAMS,
        handlers: { [STREAM_JOB]: stream },
        log: note,
      });
      closers.push(() => streams.stop());
      streams.start();
      const wanted = new StreamSchedule({ jobs, limits, snapshot: () => follower.current, log: debug });
      closers.push(() => wanted.stop());
      wanted.start();
    }
    const schedule = new MaterializationSchedule({
      jobs,
      snapshot: () => follower.current,
      now,
      log: (message, fields) => log.info(fields, message),
    });
    closers.push(() => schedule.stop());
    schedule.start();
    await presence.announce(`${hostname()}.${process.pid}`);
    const joined = worker.start();
    // The API answers while the worker still waits for its place in the group; a worker alone has nothing else to do.
    if (!roles.includes('serve')) await joined;
  }
  if (!roles.includes('serve')) return { url: null, stores };

  const control = buildControlSchema();
  const check = new OperationCheck(config.limits);
  const live = new LiveSchema(control, follower.current, check);
  const forget = follower.onChange(async (snapshot) => {
    try {
      await live.publish(snapshot);
    } catch (error) {
      log.error({ err: error, revision: snapshot.revision }, 'a revision cannot be served; the one before stays');
    }
  });
  closers.push(async () => forget());
  expressionWatch.log = (message, fields) => log.warn(fields, message);
  const updates = new UpdateFeed();
  closers.push(() => updates.stop());
  await updates.start(bus, project);
  const query = new OnlineQuery({
    ...{ project, online, offline, log: warn },
    maxReadBytes: READ_FACTOR * config.limits.maxResponseBytes,
  });
  closers.push(() => query.settle());
  const ledger = connectPostgresIntake({ url: postgresUrl, project, log: note });
  closers.push(() => ledger.close());
  const reserved = reservedNames(control);
  const limits = config.eventLimits;
  const hasKeys = config.apiKeyHashes.length > 0;
  const server = await startHttpServer({
    host: config.host,
    port: config.port,
    live,
    services: {
      query,
      updates,
      ingestion: new Ingestion({ bus, offline, limits, formats, now }),
      freshness: new FreshnessReader({ bus, ledger }),
      sourceChecks: new SourceChecker({ bus, queries, folder: config.batchFolder, limits, reserved, formats, now }),
      offline,
      registry,
      jobs,
      queries,
      apply: new DefinitionApply({
        registry,
        follower,
        offline,
        bus,
        live,
        reserved,
        hasSchemaRegistry: config.schemaRegistryUrl !== null,
        hasSpark: config.spark !== null && config.kafkaBrokers !== null,
        batches: { spark: config.spark !== null, connections: config.jdbcConnections },
        queries,
        log: note,
      }),
      trainingSets: { ...config.trainingSets, hasSpark: config.spark !== null },
      snapshot: () => live.current.snapshot,
      operations: () => live.current.operations,
      now,
      maxKeys: config.limits.maxKeys,
      answers: new AnswerMemory(config.limits.maxResponseBytes),
    },
    authenticate: createAuthenticate(config.apiKeyHashes),
    origins: new OriginPolicy({ corsOrigins: config.corsOrigins, hasKeys }),
    hasKeys,
    limits: config.limits,
    check,
    onlyRegistered: config.onlyRegistered,
    ownDocuments,
    fastLane: config.fastLane,
    log,
    slowRequestMs: config.slowRequest,
    shutdownGraceMs: config.shutdownGrace,
    isRegistryFollowed: () => follower.failure === null,
    countWorkers: () => presence.count(),
    probes: {
      online: () => online.ping(),
      offline: () => offline.ping(),
      registry: () => registry.ping(),
      bus: () => bus.ping(),
    },
  });
  closers.push(() => server.close());
  return { url: server.url, stores };
}
