/**
 * What a system test runs FStore on: the embedded default, or the real servers; each with names of its own, so that tests
 * do not meet. FStore itself runs as a user starts it: as a process, from the build.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningProcess, startProcess, whenReady } from '../harness/child-process.js';
import { createTestDatabase, createTestMongo, testServers } from '../harness/test-servers.js';

export type PlatformName = 'embedded' | 'servers' | 'cluster';

export interface Platform {
  readonly name: PlatformName;
  readonly project: string;
  /** A folder for the files of a test, from which sources are read in batches. FStore's own data lies beside it. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Starts `fstore serve` (or `worker`); resolves when it answers. */
  start(options?: StartOptions): Promise<FStoreProcess>;
  /** Ends every process and drops what they left. */
  drop(): Promise<void>;
}

export interface StartOptions {
  readonly arguments?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export interface FStoreProcess {
  /** `http://127.0.0.1:port`; empty for a worker. */
  readonly url: string;
  readonly process: RunningProcess;
}

async function readAddress(running: RunningProcess): Promise<string> {
  const text = running.logTail(10_000);
  const address = /^GraphQL +(http:\S+)\/graphql$/m.exec(text)?.[1];
  if (address) return address;
  if (/^Worker running$/m.test(text)) return '';
  throw new Error('it has not announced itself yet');
}

/** Creates a platform with fresh names. `cluster` is `servers` with a Redis Cluster as online store. */
export async function createPlatform(name: PlatformName): Promise<Platform> {
  const id = randomBytes(4).toString('hex');
  const project = `t${id}`;
  const root = await mkdtemp(join(tmpdir(), `fstore-${id}-`));
  // PostgreSQL, which runs as another user where we are root, must be able to reach its data.
  await chmod(root, 0o755);
  const folder = join(root, 'work');
  await mkdir(folder);
  const drops: (() => Promise<unknown>)[] = [() => rm(root, { recursive: true, force: true })];
  const environment: Record<string, string> = {
    FSTORE_PROJECT: project,
    FSTORE_PORT: '0',
    FSTORE_DATA_DIR: join(root, 'data'),
    FSTORE_BATCH_FOLDER: folder,
    FSTORE_LOG_LEVEL: 'info',
  };
  if (name !== 'embedded') {
    const database = await createTestDatabase();
    const mongo = createTestMongo();
    drops.push(
      () => database.drop(),
      () => mongo.drop(),
    );
    environment.FSTORE_POSTGRES_URL = database.url;
    environment.FSTORE_POSTGRES_READ_URL = database.readUrl;
    environment.FSTORE_MONGO_URL = mongo.url;
    // A killed worker's place is free again soon; a broker of somebody else may insist on 6 s.
    environment.FSTORE_KAFKA_SESSION_TIMEOUT = process.env.FSTORE_TEST_KAFKA_SESSION_TIMEOUT ?? '6s';
    environment.FSTORE_KAFKA_BROKERS = testServers().kafkaBrokers.join(',');
    if (name === 'servers') environment.FSTORE_REDIS_URL = testServers().redisUrl;
    else {
      const nodes = testServers().redisClusterNodes.map(({ host, port }) => `${host}:${port}`);
      environment.FSTORE_REDIS_CLUSTER = nodes.join(',');
    }
  }
  let count = 0;
  return {
    name,
    project,
    folder,
    environment,
    start: async (options = {}) => {
      count += 1;
      const running = startProcess(process.execPath, ['dist/main.js', ...(options.arguments ?? ['serve'])], {
        env: { ...environment, ...options.environment },
        logFile: join(folder, `fstore-${count}.log`),
      });
      drops.push(() => running.stop());
      return { url: await whenReady(running, () => readAddress(running)), process: running };
    },
    drop: async () => {
      for (const drop of drops.reverse()) await drop();
    },
  };
}
