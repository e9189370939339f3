/**
 * The servers that all contenders use: Redis and PostgreSQL, with the data in each contender's format. Each format has
 * its own database number in Redis, which must be empty at the start and is emptied at the end.
 */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { runProcess, startProcess, whenReady } from '../../test/harness/child-process.js';
import { type ServerPool, startServers } from '../../test/harness/server-pool.js';
import { endpointVariables } from '../../test/harness/test-server.js';
import { createTestDatabase, type TestDatabase } from '../../test/harness/test-servers.js';
import { apply } from '../../test/system/graphql-door.js';
import { fragmentKey } from './contenders/fragment-store.js';
import { answerText, definitionsOf, entitiesOf, entityId, fileOf, TABLES, type Table, tableLine } from './dataset.js';
import { feastPrograms, HERE, NODE_OPTIONS } from './tools.js';

/** Database numbers in Redis. */
const DATABASES = { fstore: 13, fragments: 14, feast: 15 } as const;
/** A format of the data in Redis. */
export type Keeping = keyof typeof DATABASES;
const HOUR = 3_600_000;
const PIPELINE = 1_000;

/** The servers and folders of one run. */
export interface World {
  readonly pool: ServerPool;
  /** A folder for logs and for FStore's data, which the user of PostgreSQL can traverse. */
  readonly folder: string;
  /** The batch folder, which holds the files of the tables and nothing else. */
  readonly batchFolder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly feastFolder: string;
  /** Returns the URL of Redis with the database of a format. */
  redisUrl(keeping: Keeping): string;
  drop(): Promise<void>;
}

async function emptyDatabases(url: (keeping: Keeping) => string, check: boolean): Promise<void> {
  for (const keeping of Object.keys(DATABASES) as Keeping[]) {
    const redis = new Redis(url(keeping));
    try {
      if (check && (await redis.dbsize()) > 0) throw new Error(`database ${DATABASES[keeping]} of Redis is not empty`);
      await redis.flushdb();
    } finally {
      redis.disconnect();
    }
  }
}

/** Starts the servers, or uses those of the environment. */
export async function createWorld(): Promise<World> {
  const pool = await startServers({ only: ['redis', 'postgres'] });
  for (const name of ['redis', 'postgres'] as const) process.env[endpointVariables[name]] = pool.endpoints[name];
  const redisUrl = (keeping: Keeping): string => {
    const url = new URL(pool.endpoints.redis!);
    url.pathname = `/${DATABASES[keeping]}`;
    return url.href;
  };
  let database: TestDatabase | null = null;
  const folder = await mkdtemp(join(tmpdir(), 'fstore-serving-'));
  const drop = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true });
    await database?.drop();
    await pool.stop();
  };
  try {
    await emptyDatabases(redisUrl, true);
    await chmod(folder, 0o755);
    database = await createTestDatabase();
    const feastFolder = join(folder, 'feast');
    const batchFolder = join(folder, 'batch');
    await Promise.all([feastFolder, batchFolder].map((one) => mkdir(one)));
    const environment = {
      ...{ FSTORE_PROJECT: 'bench', FSTORE_PORT: '0', FSTORE_DATA_DIR: join(folder, 'data'), FSTORE_LOG_LEVEL: 'warn' },
      ...{ FSTORE_BATCH_FOLDER: batchFolder, FSTORE_POSTGRES_URL: database.url, FSTORE_REDIS_URL: redisUrl('fstore') },
    };
    const dropAll = async (): Promise<void> => {
      await emptyDatabases(redisUrl, false).catch(() => {});
      await drop();
    };
    return { pool, folder, batchFolder, environment, feastFolder, redisUrl, drop: dropAll };
  } catch (error) {
    await drop();
    throw error;
  }
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

/** Writes the tables as files of JSON lines to the batch folder. Returns their paths by table. */
export async function writeTables(
  world: World,
  entities: number,
  tables: readonly Table[] = TABLES,
): Promise<Map<string, string>> {
  const eventTime = new Date(Date.now() - HOUR).toISOString();
  const files = new Map<string, string>();
  for (const table of tables) {
    const path = join(world.batchFolder, fileOf(table));
    const file = createWriteStream(path);
    for (let entity = 0; entity < entitiesOf(table, entities); entity += 1) {
      if (!file.write(tableLine(table, entity, eventTime))) await once(file, 'drain');
    }
    file.end();
    await once(file, 'finish');
    files.set(table.name, path);
  }
  return files;
}

/** Starts `fstore serve` and waits until it has announced its URL. */
export async function startFStore(world: World, main: string, serve: readonly string[], log: string) {
  const logFile = join(world.folder, `${log}.log`);
  const running = startProcess(process.execPath, [main, 'serve', ...serve], {
    env: { ...world.environment, NODE_OPTIONS },
    logFile,
  });
  const url = await whenReady(running, async () => {
    const address = /^GraphQL +(http:\S+)\/graphql$/m.exec(running.logTail(10_000))?.[1];
    if (!address) throw new Error('it has not announced itself yet');
    return address;
  });
  return { running, url };
}

/** Applies the definitions and materializes the files, through FStore's own API. */
export async function loadFStore(
  world: World,
  main: string,
  say: (text: string) => void,
  tables: readonly Table[] = TABLES,
): Promise<void> {
  const { running, url } = await startFStore(world, main, [], 'fstore-load');
  try {
    await apply(url, definitionsOf(tables));
    for (const { name } of tables) {
      const started = performance.now();
      const logFile = join(world.folder, `materialize-${name}.log`);
      await runProcess(process.execPath, [main, 'materialize', name, '--url', url], { logFile });
      say(`FStore: ${name} in ${seconds(started)}`);
    }
  } finally {
    await running.stop();
  }
}

/** Writes the answer of each view as JSON, which the raw server copies and which Mercurius and Apollo parse. */
export async function loadFragments(world: World, entities: number, say: (text: string) => void): Promise<void> {
  const started = performance.now();
  const redis = new Redis(world.redisUrl('fragments'));
  try {
    for (const table of TABLES) {
      const count = entitiesOf(table, entities);
      for (const view of table.views) {
        for (let from = 0; from < count; from += PIPELINE) {
          const pairs: string[] = [];
          for (let entity = from; entity < Math.min(count, from + PIPELINE); entity += 1) {
            pairs.push(fragmentKey(view.name, entityId(entity)), answerText(view, entity));
          }
          await redis.mset(...pairs);
        }
      }
    }
  } finally {
    redis.disconnect();
  }
  say(`fragments in ${seconds(started)}`);
}

/** Writes the same rows by Feast's own `write_to_online_store`. */
export async function loadFeast(
  world: World,
  files: ReadonlyMap<string, string>,
  say: (text: string) => void,
  tables: readonly Table[] = TABLES,
): Promise<void> {
  const started = performance.now();
  const shape = tables.map(({ name, views }) => ({ name, views, file: files.get(name) }));
  await writeFile(join(world.feastFolder, 'shape.json'), JSON.stringify(shape));
  const { hostname, port } = new URL(world.redisUrl('feast'));
  const python = join(await feastPrograms(), 'python');
  const connection = `${hostname}:${port},db=${DATABASES.feast}`;
  await runProcess(python, [join(HERE, 'feast-loader.py'), world.feastFolder, connection], {
    env: { FEAST_USAGE: 'False' },
    logFile: join(world.folder, 'feast-load.log'),
  });
  say(`Feast in ${seconds(started)}`);
}
