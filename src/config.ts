/** Environment → frozen configuration. Every variable that FStore reads is in this table, and nowhere else. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { z } from 'zod';
import { durationSchema, parseDuration } from './definition/duration.js';
import { FStoreError } from './errors.js';

const duration = (fallback: string) =>
  durationSchema
    .default(fallback)
    .transform((text) => parseDuration(text) as number)
    .meta({ fallback });
const count = (fallback: number, max: number) => z.coerce.number().int().min(1).max(max).default(fallback);
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

/** Milliseconds; load balancers commonly ask every second or two whether a process is ready. */
const DEFAULT_GRACE = 5_000;

const address = (scheme: string, pattern: RegExp) =>
  z.string().regex(pattern, `expected an address that begins with ${scheme}://`);
const servers = list.refine(
  (items) => items.length > 0 && items.every((item) => /^[^\s,/]+:\d{1,5}$/.test(item)),
  'expected host:port, separated by commas',
);

/** True for `scheme://host[:port]` as a browser writes it in `Origin`. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

const environmentSchema = z.object({
  FSTORE_PROJECT: z
    .string()
    .regex(/^[a-z](?:_?[a-z0-9])*$/, 'a project is lower case with single underscores')
    .max(40)
    // Their schemas in PostgreSQL are those of the bus and the registry.
    .refine((name) => name !== 'bus' && name !== 'registry', 'a project is not called bus or registry')
    .default('default')
    .describe('The project that this process serves.'),
  FSTORE_HOST: z.string().default('127.0.0.1').describe('Address to listen on; beyond loopback only with an API key.'),
  FSTORE_PORT: z.coerce.number().int().min(0).max(65_535).default(4000).describe('Port to listen on; 0: any free one.'),
  FSTORE_DATA_DIR: z.string().default('.fstore').describe('Folder of the embedded PostgreSQL.'),
  FSTORE_TRAINING_FOLDER: z
    .string()
    .optional()
    .describe(
      'Folder of training sets, which all processes and executors of Spark see; default: training-sets in the data folder.',
    ),
  FSTORE_MAX_SPINE_BYTES: count(1_000_000_000, 100_000_000_000).describe('Largest spine of a training set.'),
  FSTORE_BATCH_FOLDER: z
    .string()
    .default('data')
    .describe(
      'Folder of batch files. A client that may declare sources can read every file in it, so keep nothing else there. It and the data folder may not contain each other.',
    ),
  FSTORE_SQL_QUERIES: z
    .enum(['true', 'false'])
    .default('true')
    .describe(
      'Whether SQL that users write is run: `query` and `table` of sources, checks and spines. It reads what the read login may read.',
    ),
  FSTORE_SQL_TIMEOUT: duration('30s').describe(
    'How long SQL that users write may run: a check as a whole, a materialization or spine for each of its pages.',
  ),
  FSTORE_FAST_LANE: z
    .enum(['true', 'false'])
    .default('true')
    .describe('Whether plain reads of features are answered in front of Apollo; with the same answers, faster.'),
  FSTORE_OPERATIONS: z
    .enum(['any', 'registered'])
    .default('any')
    .describe('Which GraphQL documents run: any, or those that consumers have registered.'),
  FSTORE_POSTGRES_URL: address('postgres', /^postgres(?:ql)?:\/\/./)
    .optional()
    .describe('Offline store; without it, an embedded PostgreSQL is started.'),
  FSTORE_POSTGRES_READ_URL: address('postgres', /^postgres(?:ql)?:\/\/./)
    .optional()
    .describe(
      'The same database with a login of another role, under which SQL that users write is run; without it, none is. The embedded PostgreSQL has its own.',
    ),
  FSTORE_REDIS_URL: address('redis', /^rediss?:\/\/./)
    .optional()
    .describe('Online store; without it, values are kept in memory.'),
  FSTORE_REDIS_CLUSTER: servers
    .optional()
    .describe('Nodes of a Redis Cluster, as host:port,host:port; instead of the URL.'),
  FSTORE_MONGO_URL: address('mongodb', /^mongodb(?:\+srv)?:\/\/./)
    .optional()
    .describe('Registry; without it, PostgreSQL holds the definitions.'),
  FSTORE_KAFKA_BROKERS: servers.optional().describe('Event bus; without it, PostgreSQL carries the events.'),
  FSTORE_KAFKA_SESSION_TIMEOUT: duration('10s').describe(
    'After what silence a worker is taken for dead; the broker sets the least that it allows.',
  ),
  FSTORE_TOPIC_PARTITIONS: count(4, 1_000).describe('Partitions of topics that FStore creates.'),
  FSTORE_SPARK_HOME: z
    .string()
    .optional()
    .describe('Folder of Spark 4, which has bin/spark-submit; without it, nothing can have `engine: spark`.'),
  FSTORE_SPARK_PYTHON: z
    .string()
    .optional()
    .describe('The Python of driver and executors, which has what spark/ needs.'),
  FSTORE_SPARK_MASTER: z.string().default('local[*]').describe('Where Spark runs: local[*], spark://…, yarn, k8s://….'),
  FSTORE_SPARK_JARS: list
    .optional()
    .describe("Jars of Spark's Kafka connector and of JDBC drivers, separated by commas."),
  FSTORE_SPARK_SETTINGS: list
    .refine((items) => items.every((item) => /^[A-Za-z0-9_.-]+=/.test(item)), 'expected key=value, separated by commas')
    .optional()
    .describe('Settings of Spark, as key=value,key=value.'),
  FSTORE_SPARK_FOLDER: z
    .string()
    .optional()
    .describe('Folder of plans and logs of runs; default: spark in the data folder.'),
  FSTORE_SPARK_SINK_URL: address('postgres', /^postgres(?:ql)?:\/\/./)
    .optional()
    .describe('The offline store as executors of Spark reach it; default: FSTORE_POSTGRES_URL.'),
  FSTORE_SPARK_READ_URL: address('postgres', /^postgres(?:ql)?:\/\/./)
    .optional()
    .describe('The same with the read login; default: FSTORE_POSTGRES_READ_URL.'),
  FSTORE_SPARK_MAX_EVENTS: count(50_000, 10_000_000).describe('Events of one micro-batch of a stream at most.'),
  FSTORE_SPARK_REFRESH: duration('5m').describe('After what time a table that a `sql` view reads is read again.'),
  FSTORE_SCHEMA_REGISTRY_URL: address('http', /^https?:\/\/./)
    .optional()
    .describe('Schema registry that Avro messages name their schema of; user and password may be part of it.'),
  FSTORE_API_KEY_SHA256: list.optional().describe('SHA-256, in hexadecimal, of each API key that is let in.'),
  FSTORE_CORS_ORIGINS: list
    .refine(
      (items) => items.length > 0 && items.every(isOrigin),
      'expected origins such as https://dashboard.example:8443, separated by commas',
    )
    .optional()
    .describe('Origins of other sites whose pages may use this server; without it, none may.'),
  FSTORE_CLOCK_SKEW: duration('60s').describe('How far an event time may lie in the future.'),
  FSTORE_MAX_EVENT_BYTES: count(1_000_000, 100_000_000).describe('Largest event.'),
  FSTORE_MAX_KEYS: count(1_000, 100_000).describe(
    'How many entities one operation may ask for, counted over all of its fields; an id given twice counts twice.',
  ),
  FSTORE_MAX_BODY_BYTES: count(10_000_000, 1_000_000_000).describe('Largest request body.'),
  // 1,000 entities (FSTORE_MAX_KEYS) of 10 KB: 250 features of 40 bytes each, names included. JSON.stringify takes
  // up to 70 ms for so many numbers, and nothing else runs meanwhile.
  FSTORE_MAX_RESPONSE_BYTES: count(10_000_000, 500_000_000).describe(
    'Largest answer to one request; eight times as much may be in memory at the same time for all requests.',
  ),
  FSTORE_MAX_IN_FLIGHT: count(1_000, 1_000_000).describe(
    'How many requests may be under way, fewer while the process is busy without a pause; more are answered 503 with Retry-After.',
  ),
  FSTORE_REQUEST_TIMEOUT: duration('30s').describe('How long a client may take to send a request.'),
  FSTORE_MAX_CONNECTIONS: count(10_000, 10_000_000).describe('How many connections a process has at the same time.'),
  FSTORE_MAX_BUFFERED_BYTES: count(256_000_000, 100_000_000_000).describe(
    'How many bytes of request bodies and messages a process holds that are not answered yet.',
  ),
  FSTORE_MAX_SUBSCRIPTIONS: count(20_000, 10_000_000).describe(
    'How many subscriptions a process serves at the same time.',
  ),
  FSTORE_MAX_SUBSCRIPTIONS_PER_CONNECTION: count(1_000, 1_000_000).describe(
    'How many subscriptions one WebSocket may have at the same time.',
  ),
  FSTORE_MAX_DEPTH: count(12, 100).describe('How deep an operation may be.'),
  FSTORE_MAX_ALIASES: count(100, 10_000).describe('How many aliases an operation may have.'),
  FSTORE_MAX_TOKENS: count(10_000, 1_000_000).describe('How many tokens an operation may have.'),
  FSTORE_POLL_INTERVAL: duration('1s').describe('How often the revision of the registry is looked at.'),
  FSTORE_SLOW_REQUEST: duration('1s').describe('Requests that take longer are logged.'),
  FSTORE_SHUTDOWN_GRACE: durationSchema
    .or(z.literal('0s'))
    .transform((text) => parseDuration(text) as number)
    .optional()
    .describe(
      'How long a stopping process still answers while /ready is 503; default: 0s on loopback, else 5s. A second signal ends it at once.',
    ),
  FSTORE_LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('Log level.'),
});

type Environment = z.infer<typeof environmentSchema>;

export interface Config {
  readonly project: string;
  readonly host: string;
  readonly port: number;
  readonly dataFolder: string;
  /** Folder of batch files. */
  readonly batchFolder: string;
  readonly trainingSets: { readonly folder: string; readonly maxSpineBytes: number };
  /** Whether SQL that users write is run, and how long, in milliseconds. */
  readonly queries: { readonly allowed: boolean; readonly timeout: number };
  /** Whether plain reads are answered in front of Apollo. */
  readonly fastLane: boolean;
  /** Whether documents run only if a consumer has registered them. */
  readonly onlyRegistered: boolean;
  readonly postgresUrl: string | null;
  /** Address with the login for SQL that users write. */
  readonly postgresReadUrl: string | null;
  readonly redis: { readonly url: string } | { readonly clusterNodes: readonly string[] } | null;
  readonly mongoUrl: string | null;
  readonly kafkaBrokers: readonly string[] | null;
  /** Milliseconds. */
  readonly kafkaSessionTimeout: number;
  readonly topicPartitions: number;
  /** Null: there is no Spark. */
  readonly spark: {
    readonly home: string;
    readonly python: string | null;
    readonly master: string;
    readonly jars: readonly string[];
    readonly settings: Readonly<Record<string, string>>;
    readonly folder: string;
    readonly sinkUrl: string | null;
    readonly readUrl: string | null;
    readonly maxEvents: number;
    /** Milliseconds. */
    readonly refresh: number;
  } | null;
  readonly schemaRegistryUrl: string | null;
  /** Names of databases that Spark reads: the connection x has its address in FSTORE_JDBC_X_URL. */
  readonly jdbcConnections: readonly string[];
  readonly apiKeyHashes: readonly string[];
  /** Origins of other sites whose pages may use this server. */
  readonly corsOrigins: readonly string[];
  readonly eventLimits: { readonly clockSkew: number; readonly maxBytes: number };
  readonly limits: {
    readonly maxKeys: number;
    readonly maxBodyBytes: number;
    readonly maxResponseBytes: number;
    readonly maxInFlight: number;
    /** Milliseconds. */
    readonly requestTimeout: number;
    readonly maxConnections: number;
    readonly maxBufferedBytes: number;
    readonly maxSubscriptions: number;
    readonly maxSubscriptionsPerConnection: number;
    readonly maxDepth: number;
    readonly maxAliases: number;
    readonly maxTokens: number;
  };
  readonly pollInterval: number;
  readonly logLevel: Environment['FSTORE_LOG_LEVEL'];
  /** Milliseconds. */
  readonly slowRequest: number;
  /** Milliseconds. */
  readonly shutdownGrace: number;
}

/** Every variable with its meaning and default, for help texts and docs. */
export function describeEnvironment(): { name: string; description: string; fallback: string | null }[] {
  return Object.entries(environmentSchema.shape).map(([name, schema]) => {
    const parsed = schema.safeParse(undefined);
    // A duration is parsed to milliseconds; people write it as they would set it.
    const written = schema.meta()?.['fallback'] ?? (parsed.success ? parsed.data : undefined);
    const fallback = written === undefined ? null : String(written);
    return { name, description: schema.description ?? '', fallback };
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

/** The path without links, as far as it exists. */
function realPath(path: string): string {
  const full = resolve(path);
  try {
    return realpathSync(full);
  } catch {
    const parent = dirname(full);
    return parent === full ? full : join(realPath(parent), basename(full));
  }
}

/** Sources read files of the batch folder, so FStore's own files must lie elsewhere. Throws CONFIG_INVALID. */
function checkBatchFolder(batchFolder: string, own: readonly (string | undefined)[]): void {
  const within = (folder: string, other: string): boolean =>
    other === folder || other.startsWith(folder.endsWith(sep) ? folder : folder + sep);
  const batch = realPath(batchFolder);
  for (const folder of own) {
    if (folder === undefined) continue;
    const other = realPath(folder);
    if (!within(batch, other) && !within(other, batch)) continue;
    const message = `FSTORE_BATCH_FOLDER (${batchFolder}) and ${folder}, where FStore keeps its own files, contain each other`;
    throw new FStoreError('CONFIG_INVALID', message, { field: 'FSTORE_BATCH_FOLDER' });
  }
}

const JDBC_VARIABLE = /^FSTORE_JDBC_([A-Z][A-Z0-9_]*)_(URL|USER|PASSWORD)$/;

/** Names of the connections of `batch.jdbc`; the job in `spark/` reads their variables itself. Throws CONFIG_INVALID. */
function readConnections(environment: Readonly<Record<string, string | undefined>>): string[] {
  const names = new Set<string>();
  for (const field of Object.keys(environment)) {
    const name = JDBC_VARIABLE.exec(field)?.[1];
    if (name === undefined) continue;
    const url = environment[`FSTORE_JDBC_${name}_URL`];
    if (!url?.startsWith('jdbc:')) {
      const message = `FSTORE_JDBC_${name}_URL: expected an address that begins with jdbc:`;
      throw new FStoreError('CONFIG_INVALID', message, { field: `FSTORE_JDBC_${name}_URL` });
    }
    names.add(name.toLowerCase());
  }
  return [...names];
}

/** Variables of earlier versions, and what to set instead. */
const RENAMED: Readonly<Record<string, string>> = {
  FSTORE_SQL_SPINES: 'FSTORE_SQL_QUERIES, which is about all SQL that users write, and true by default',
};

/** Reads the configuration. Throws CONFIG_INVALID naming the variable, or INSECURE_BIND. */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const unknown = Object.keys(environment).find(
    (name) =>
      name.startsWith('FSTORE_') &&
      !name.startsWith('FSTORE_TEST_') &&
      name !== 'FSTORE_URL' &&
      name !== 'FSTORE_API_KEY' &&
      !JDBC_VARIABLE.test(name) &&
      !(name in environmentSchema.shape),
  );
  const renamed = Object.keys(environment).find((name) => name in RENAMED);
  if (renamed) {
    throw new FStoreError('CONFIG_INVALID', `${renamed} has become ${RENAMED[renamed]}`, { field: renamed });
  }
  if (unknown) throw new FStoreError('CONFIG_INVALID', `${unknown} is no variable of FStore`, { field: unknown });
  const present = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  if (environment.FSTORE_API_KEY_SHA256?.trim() === '') {
    const message = 'FSTORE_API_KEY_SHA256 is set and empty, so it would let everybody in; remove it or set a sum';
    throw new FStoreError('CONFIG_INVALID', message, { field: 'FSTORE_API_KEY_SHA256' });
  }
  const jdbcConnections = readConnections(present);
  const parsed = environmentSchema.safeParse(present);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = `${String(issue?.path[0])}`;
    throw new FStoreError('CONFIG_INVALID', `${field}: ${issue?.message}`, { field });
  }
  const env = parsed.data;
  const apiKeyHashes = (env.FSTORE_API_KEY_SHA256 ?? []).map((hash) => hash.toLowerCase());
  const isEmptyList = env.FSTORE_API_KEY_SHA256 !== undefined && apiKeyHashes.length === 0;
  if (isEmptyList || apiKeyHashes.some((hash) => !/^[0-9a-f]{64}$/.test(hash))) {
    const message = 'FSTORE_API_KEY_SHA256 holds SHA-256 sums of 64 hexadecimal digits';
    throw new FStoreError('CONFIG_INVALID', message, { field: 'FSTORE_API_KEY_SHA256' });
  }
  if (!isLoopback(env.FSTORE_HOST) && apiKeyHashes.length === 0) {
    throw new FStoreError('INSECURE_BIND', `${env.FSTORE_HOST} is not this machine alone`, { field: 'FSTORE_HOST' });
  }
  if (env.FSTORE_POSTGRES_READ_URL && !env.FSTORE_POSTGRES_URL) {
    const message = 'FSTORE_POSTGRES_READ_URL goes with FSTORE_POSTGRES_URL; the embedded PostgreSQL has a read login';
    throw new FStoreError('CONFIG_INVALID', message, { field: 'FSTORE_POSTGRES_READ_URL' });
  }
  checkBatchFolder(env.FSTORE_BATCH_FOLDER, [env.FSTORE_DATA_DIR, env.FSTORE_TRAINING_FOLDER, env.FSTORE_SPARK_FOLDER]);
  const redis = env.FSTORE_REDIS_CLUSTER
    ? { clusterNodes: env.FSTORE_REDIS_CLUSTER }
    : env.FSTORE_REDIS_URL
      ? { url: env.FSTORE_REDIS_URL }
      : null;
  return Object.freeze({
    project: env.FSTORE_PROJECT,
    host: env.FSTORE_HOST,
    port: env.FSTORE_PORT,
    dataFolder: env.FSTORE_DATA_DIR,
    batchFolder: env.FSTORE_BATCH_FOLDER,
    trainingSets: {
      folder: env.FSTORE_TRAINING_FOLDER ?? join(env.FSTORE_DATA_DIR, 'training-sets'),
      maxSpineBytes: env.FSTORE_MAX_SPINE_BYTES,
    },
    queries: { allowed: env.FSTORE_SQL_QUERIES === 'true', timeout: env.FSTORE_SQL_TIMEOUT },
    fastLane: env.FSTORE_FAST_LANE === 'true',
    onlyRegistered: env.FSTORE_OPERATIONS === 'registered',
    postgresUrl: env.FSTORE_POSTGRES_URL ?? null,
    postgresReadUrl: env.FSTORE_POSTGRES_READ_URL ?? null,
    redis,
    mongoUrl: env.FSTORE_MONGO_URL ?? null,
    kafkaBrokers: env.FSTORE_KAFKA_BROKERS ?? null,
    kafkaSessionTimeout: env.FSTORE_KAFKA_SESSION_TIMEOUT,
    topicPartitions: env.FSTORE_TOPIC_PARTITIONS,
    spark: env.FSTORE_SPARK_HOME
      ? {
          home: env.FSTORE_SPARK_HOME,
          python: env.FSTORE_SPARK_PYTHON ?? null,
          master: env.FSTORE_SPARK_MASTER,
          jars: env.FSTORE_SPARK_JARS ?? [],
          settings: Object.fromEntries(
            (env.FSTORE_SPARK_SETTINGS ?? []).map((item) => {
              const at = item.indexOf('=');
              return [item.slice(0, at), item.slice(at + 1)];
            }),
          ),
          folder: env.FSTORE_SPARK_FOLDER ?? join(env.FSTORE_DATA_DIR, 'spark'),
          sinkUrl: env.FSTORE_SPARK_SINK_URL ?? null,
          readUrl: env.FSTORE_SPARK_READ_URL ?? null,
          maxEvents: env.FSTORE_SPARK_MAX_EVENTS,
          refresh: env.FSTORE_SPARK_REFRESH,
        }
      : null,
    schemaRegistryUrl: env.FSTORE_SCHEMA_REGISTRY_URL ?? null,
    jdbcConnections,
    apiKeyHashes,
    corsOrigins: env.FSTORE_CORS_ORIGINS ?? [],
    eventLimits: { clockSkew: env.FSTORE_CLOCK_SKEW, maxBytes: env.FSTORE_MAX_EVENT_BYTES },
    limits: {
      maxKeys: env.FSTORE_MAX_KEYS,
      maxBodyBytes: env.FSTORE_MAX_BODY_BYTES,
      maxResponseBytes: env.FSTORE_MAX_RESPONSE_BYTES,
      maxInFlight: env.FSTORE_MAX_IN_FLIGHT,
      requestTimeout: env.FSTORE_REQUEST_TIMEOUT,
      maxConnections: env.FSTORE_MAX_CONNECTIONS,
      maxBufferedBytes: env.FSTORE_MAX_BUFFERED_BYTES,
      maxSubscriptions: env.FSTORE_MAX_SUBSCRIPTIONS,
      maxSubscriptionsPerConnection: env.FSTORE_MAX_SUBSCRIPTIONS_PER_CONNECTION,
      maxDepth: env.FSTORE_MAX_DEPTH,
      maxAliases: env.FSTORE_MAX_ALIASES,
      maxTokens: env.FSTORE_MAX_TOKENS,
    },
    pollInterval: env.FSTORE_POLL_INTERVAL,
    logLevel: env.FSTORE_LOG_LEVEL,
    slowRequest: env.FSTORE_SLOW_REQUEST,
    shutdownGrace: env.FSTORE_SHUTDOWN_GRACE ?? (isLoopback(env.FSTORE_HOST) ? 0 : DEFAULT_GRACE),
  });
}
