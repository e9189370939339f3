/** A start that cannot succeed ends soon, with a code of its own, a hint, exit code 1 and no stack. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { startProcess } from '../harness/child-process.js';
import { eventually } from '../harness/eventually.js';
import { createTestDatabase, type TestDatabase, testServers } from '../harness/test-servers.js';
import { scaled } from '../harness/time-factor.js';
import { apply, ask } from './graphql-door.js';
import { createPlatform, type Platform } from './platform.js';

/** A user without rights, where the tests run as root; root may do everything. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

let folder: string;
let platform: Platform;
let taken: Server;
let takenPort: number;
let count = 0;

/** Runs `fstore` until it ends; fails when it does not. */
async function run(
  environment: Record<string, string>,
  { arguments: args = ['serve'], user = {} }: { arguments?: string[]; user?: { uid?: number; gid?: number } } = {},
): Promise<{ code: number | null; text: string; ms: number }> {
  count += 1;
  const logFile = join(folder, `run-${count}.log`);
  await writeFile(logFile, '', { mode: 0o666 });
  const begun = performance.now();
  const running = startProcess(process.execPath, ['dist/main.js', ...args], {
    env: { ...platform.environment, FSTORE_LOG_LEVEL: 'error', ...environment },
    logFile,
    ...user,
  });
  const timer = setTimeout(() => running.kill('SIGKILL'), scaled(45_000));
  const { code } = await running.exited;
  clearTimeout(timer);
  return { code, text: await readFile(logFile, 'utf8'), ms: performance.now() - begun };
}

/** The claim of every test here. */
function expectRefusal({ code, text }: { code: number | null; text: string }, errorCode: string, named: string): void {
  expect(text).toContain(`error ${errorCode}:`);
  expect(text).toContain(named);
  expect(text).toMatch(/^cure: \S/m);
  expect(text).not.toMatch(/\n\s+at .*[:(]\d+/);
  expect(text).not.toContain('INTERNAL');
  expect(code).toBe(1);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fstore-start-'));
  await chmod(folder, 0o755);
  platform = await createPlatform('embedded');
  taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  takenPort = (taken.address() as { port: number }).port;
  // The data folder exists from here on, so that each start is short.
  const { process: running } = await platform.start();
  await running.stop();
});
afterAll(async () => {
  taken.close();
  await platform.drop();
  await rm(folder, { recursive: true, force: true });
});

describe('an address that cannot be listened on', () => {
  test('a port in use is PORT_IN_USE and names the port', async () => {
    const ended = await run({ FSTORE_PORT: `${takenPort}` });
    expectRefusal(ended, 'PORT_IN_USE', `port ${takenPort} of 127.0.0.1`);
    expect(ended.text).toContain('FSTORE_PORT');
  });

  test('a port in use is PORT_IN_USE with several processes, too', async () => {
    const database = await createTestDatabase();
    try {
      const environment = { FSTORE_POSTGRES_URL: database.url, FSTORE_REDIS_URL: testServers().redisUrl };
      const ended = await run(
        { ...environment, FSTORE_PORT: `${takenPort}` },
        { arguments: ['serve', '--workers', '2'] },
      );
      expectRefusal(ended, 'PORT_IN_USE', `port ${takenPort}`);
      expect(ended.text.match(/^error /gm)).toHaveLength(1);
    } finally {
      await database.drop();
    }
  });

  test.each(['192.0.2.1', 'no-such-host.invalid'])(
    'the host %s is CONFIG_INVALID that names FSTORE_HOST',
    async (host) => {
      const ended = await run({ FSTORE_HOST: host, FSTORE_API_KEY_SHA256: randomBytes(32).toString('hex') });
      expectRefusal(ended, 'CONFIG_INVALID', host);
      expect(ended.text).toContain('FSTORE_HOST');
    },
  );
});

describe('a server that cannot be used', () => {
  const embedded = { FSTORE_REDIS_URL: '', FSTORE_MONGO_URL: '', FSTORE_KAFKA_BROKERS: '' };

  test.each([
    ['PostgreSQL', 'STORE_UNAVAILABLE', { FSTORE_POSTGRES_URL: 'postgres://someone:hunter2@127.0.0.1:1/fstore' }],
    ['MongoDB', 'REGISTRY_UNAVAILABLE', { FSTORE_MONGO_URL: 'mongodb://someone:hunter2@127.0.0.1:1/fstore' }],
    ['Kafka', 'BUS_UNAVAILABLE', { FSTORE_KAFKA_BROKERS: '127.0.0.1:1' }],
  ])('%s that does not answer is named with its host, its port and the reason', async (name, errorCode, variables) => {
    const { code, text } = await run({ ...embedded, ...variables });
    expect(text).toMatch(
      new RegExp(`error ${errorCode}: ${name} at 127\\.0\\.0\\.1:1 cannot be reached: .*ECONNREFUSED`),
    );
    expect(text).not.toContain('hunter2');
    expect(text).not.toMatch(/\n\s+at .*[:(]\d+/);
    expect(code).toBe(3);
  });

  test('a database that does not exist is CONFIG_INVALID that names the variable and the host', async () => {
    const url = new URL(testServers().postgresUrl);
    url.pathname = '/no_such_database';
    const ended = await run({ ...embedded, FSTORE_POSTGRES_URL: url.href });
    expectRefusal(ended, 'CONFIG_INVALID', `PostgreSQL at ${url.host} refuses the login: database "no_such_database"`);
    expect(ended.text).toContain('FSTORE_POSTGRES_URL');
  });
});

describe('a folder that cannot be used', () => {
  const refused = async (variable: string, path: string, user = {}) => {
    const ended = await run({ [variable]: path }, { user });
    expectRefusal(ended, 'CONFIG_INVALID', `field ${variable}`);
    expect(ended.text).toContain(path);
  };

  test('a data folder that is a file is CONFIG_INVALID', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    await refused('FSTORE_DATA_DIR', file);
    await refused('FSTORE_DATA_DIR', join(file, 'below'));
  });

  test('a data folder without permission is CONFIG_INVALID', async () => {
    const closed = join(folder, 'closed');
    await mkdir(closed, { mode: 0o555 });
    await refused('FSTORE_DATA_DIR', join(closed, 'data'), NOBODY);
    await refused('FSTORE_DATA_DIR', closed, NOBODY);
  });

  test('a data folder where no folder can be made is CONFIG_INVALID', () => refused('FSTORE_DATA_DIR', '/proc/fstore'));

  test('a folder of training sets that is a file is CONFIG_INVALID before any training set is asked for', async () => {
    const file = join(folder, 'training');
    await writeFile(file, '');
    await refused('FSTORE_TRAINING_FOLDER', file);
    await refused('FSTORE_TRAINING_FOLDER', '/proc/training');
  });

  test('a folder of Spark that cannot be made is CONFIG_INVALID', async () => {
    const ended = await run({ FSTORE_SPARK_HOME: '/opt/spark', FSTORE_SPARK_FOLDER: '/proc/spark' });
    expectRefusal(ended, 'CONFIG_INVALID', 'field FSTORE_SPARK_FOLDER');
  });
});

describe('the password file of the embedded PostgreSQL', () => {
  const file = () => join(platform.environment.FSTORE_DATA_DIR!, 'password');

  test.each([
    ['wrong', 'guess', 'it is not the password'],
    ['full of signs', 'a b@c/d#e%zz', 'it is not the password'],
    ['empty', '\n', 'it is empty'],
    ['missing', null, 'it is missing'],
  ])('that is %s is EMBEDDED_PASSWORD_INVALID within seconds', async (_, content, reason) => {
    const kept = `${file()}.kept`;
    await rename(file(), kept);
    try {
      if (content !== null) await writeFile(file(), content);
      const ended = await run({});
      expectRefusal(ended, 'EMBEDDED_PASSWORD_INVALID', reason);
      expect(ended.text).toContain(file());
      expect(ended.ms).toBeLessThan(scaled(10_000));
    } finally {
      await rename(kept, file());
    }
  });

  test('that is put back lets FStore start again', async () => {
    const again = await platform.start();
    expect((await fetch(`${again.url}/ready`)).status).toBe(200);
    await again.process.stop();
  });
});

describe('data of a newer FStore', () => {
  let database: TestDatabase;
  const environment = () => ({ FSTORE_POSTGRES_URL: database.url });
  const sql = async (text: string): Promise<void> => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(text);
    await client.end();
  };
  const FUTURE = `INSERT INTO fstore_registry.definitions
    SELECT project, 'futureKind', 'tomorrow', 1, 'f', '{}', '{}', true FROM fstore_registry.projects;
    UPDATE fstore_registry.projects SET revision = revision + 1`;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database?.drop());

  test('a running server keeps the definitions that it knows, and says once why', async () => {
    const { url, process: running } = await platform.start({ environment: environment() });
    await apply(url, [{ kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] }]);
    await sql(FUTURE);
    const lines = () =>
      running
        .logTail(10_000)
        .split('\n')
        .filter((line) => line.includes('futureKind'));
    await eventually(() => expect(lines()).toHaveLength(1), { timeoutMs: scaled(20_000) });
    expect(JSON.parse(lines()[0]!)).toMatchObject({ level: 50, code: 'DATA_TOO_NEW' });
    expect(await ask(url, '{ entities { name } }')).toEqual({ entities: [{ name: 'user' }] });
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^fstore_registry_followed 0$/m);
    await sql('UPDATE fstore_registry.projects SET revision = revision + 1');
    await sql(`DELETE FROM fstore_registry.definitions WHERE kind = 'futureKind';
      UPDATE fstore_registry.projects SET revision = revision + 1`);
    await eventually(() => expect(running.logTail(10_000)).toContain('the registry is followed again'), {
      timeoutMs: scaled(20_000),
    });
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^fstore_registry_followed 1$/m);
    expect(lines()).toHaveLength(1);
    await running.stop();
  });

  test('definitions of an unknown kind refuse a start', async () => {
    await sql(FUTURE);
    expectRefusal(await run(environment()), 'DATA_TOO_NEW', 'futureKind');
    await sql(`DELETE FROM fstore_registry.definitions WHERE kind = 'futureKind'`);
  });

  test.each([
    ['of the store', `INSERT INTO "fstore_PROJECT".migrations VALUES ('999-future.sql')`, '999-future.sql'],
    ['of the event bus', `COMMENT ON SCHEMA fstore_bus IS '99'`, 'fstore_bus'],
    ['of the registry', `COMMENT ON SCHEMA fstore_registry IS '99'`, 'fstore_registry'],
  ])('a newer schema %s refuses a start', async (_, change, named) => {
    await sql(change.replace('PROJECT', platform.project));
    expectRefusal(await run(environment()), 'DATA_TOO_NEW', named);
    await sql(`DELETE FROM "fstore_${platform.project}".migrations WHERE file = '999-future.sql';
      COMMENT ON SCHEMA fstore_bus IS '1'; COMMENT ON SCHEMA fstore_registry IS '1'`);
  });
});
