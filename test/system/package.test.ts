/** The package as npm gives it to a user: packed, installed in an empty folder, and run by every supported Node.js. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import semver from 'semver';
import { startProcess, whenReady } from '../harness/child-process.js';
import { freePort } from '../harness/free-port.js';
import { nodeProgram } from '../harness/node-versions.js';

const run = promisify(execFile);
const environment = { ...process.env, NODE_OPTIONS: '', npm_config_prefer_offline: 'true' };

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

let root: string;
let user: string;
let packed: Packed;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fstore-package-'));
  // PostgreSQL, which runs as another user where we are root, must be able to reach its data.
  await chmod(root, 0o755);
  user = join(root, 'user');
  await mkdir(user);
  // The build that the tests run is what is packed: another build at the same time would take files away from other tests.
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', root], {
    env: environment,
    maxBuffer: 1 << 26,
  });
  const answer = JSON.parse(stdout) as Packed[] | Record<string, Packed>;
  packed = Object.values(answer)[0]!;
  await writeFile(join(user, 'package.json'), '{ "name": "user", "private": true, "type": "module" }\n');
  const flags = ['--engine-strict', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', ...flags, join(root, packed.filename)], { cwd: user, env: environment });
}, 240_000);
afterAll(() => rm(root, { recursive: true, force: true }));

const PROGRAM = `
import { createClient, defineEntity, defineFeatureView, defineSource, FStoreError, type Definition, type ErrorCode } from 'fstore';

const user = defineEntity({ name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] });
const source = defineSource({
  name: 'transactions',
  schema: { user_id: 'STRING', amount: 'FLOAT64', event_time: 'TIMESTAMP' },
  timestamp: 'event_time',
  stream: {},
});
const view = defineFeatureView({ name: 'user_last', entity: user, source, features: ['amount'] });
const all: Definition[] = [user, source, view];
const code: ErrorCode = new FStoreError('BAD_REQUEST', 'an example').code;
// @ts-expect-error The types are known: a column's type is one of a list.
const bad = () => defineSource({ name: 'bad', schema: { a: 'TEXT' }, timestamp: 'a' });
console.log(all.map(({ kind }) => kind).join(), code, typeof createClient, typeof bad);
`;

test.each(['bundler', 'node16'])(
  'its types resolve under moduleResolution %s',
  async (moduleResolution) => {
    const folder = join(user, moduleResolution);
    await mkdir(folder);
    await writeFile(join(folder, 'program.ts'), PROGRAM);
    const module = moduleResolution === 'bundler' ? 'esnext' : 'node16';
    const flags = ['--strict', '--target', 'es2022', '--module', module, '--moduleResolution', moduleResolution];
    const tsc = resolve('node_modules/typescript/bin/tsc');
    const types = ['--types', 'node', '--typeRoots', join(user, 'node_modules/@types')];
    await run(process.execPath, [tsc, ...flags, ...types, 'program.ts'], { cwd: folder, env: environment }).catch(
      (failure: { stdout: string }) => {
        throw new Error(failure.stdout);
      },
    );
    const { stdout } = await run(process.execPath, ['program.js'], { cwd: folder, env: environment });
    expect(stdout).toBe('entity,source,featureView BAD_REQUEST function function\n');
  },
  60_000,
);

test('every link of its README leads to a file of the package', async () => {
  const files = new Set(packed.files.map(({ path }) => path));
  for (const page of ['README.md', 'QUICKSTART.md', 'docs/README.md']) {
    const text = await readFile(page, 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)) {
      const path = posix.normalize(posix.join(dirname(page), target!));
      const isThere = files.has(path) || [...files].some((file) => file.startsWith(`${path.replace(/\/$/, '')}/`));
      expect({ page, path, isThere }).toEqual({ page, path, isThere: true });
    }
  }
});

test('it holds no test and no cache', () => {
  const stray = packed.files.filter(({ path }) =>
    /(^|\/)(test|__pycache__|\.cache|\.fstore|node_modules)\//.test(path),
  );
  expect(stray).toEqual([]);
});

test('every package that npm installs with it runs on the lowest Node.js that it accepts', async () => {
  const { engines } = JSON.parse(await readFile('package.json', 'utf8')) as { engines: { node: string } };
  const lowest = semver.minVersion(engines.node)!;
  const hidden = JSON.parse(await readFile(join(user, 'node_modules/.package-lock.json'), 'utf8')) as {
    packages: Record<string, { engines?: { node?: string } }>;
  };
  const installed = Object.entries(hidden.packages);
  expect(installed.length).toBeGreaterThan(100);
  const unfit = installed.filter(([, one]) => one.engines?.node && !semver.satisfies(lowest, one.engines.node));
  expect(unfit).toEqual([]);
  expect(installed.filter(([place]) => /class-validator|libphonenumber/.test(place))).toEqual([]);
});

test.each([20, 22, 24] as const)(
  'Node.js %i runs its commands and serves /health',
  async (major) => {
    const node = major === 20 ? process.execPath : await nodeProgram(major);
    const { stdout: version } = await run(node, ['--version']);
    expect(version.startsWith(`v${major}.`) || major === 20).toBe(true);
    // The command runs whatever Node.js comes first on PATH.
    const folder = join(root, `node-${major}`);
    await mkdir(folder);
    await symlink(node, join(folder, 'node'));
    const env = { ...environment, NODE_ENV: undefined, PATH: `${folder}:${process.env.PATH}` };
    const command = join(user, 'node_modules/.bin/fstore');
    const { version: own } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect((await run(command, ['--version'], { env })).stdout.trim()).toContain(own);
    const port = await freePort();
    const server = startProcess(command, ['serve'], {
      cwd: user,
      env: { ...env, FSTORE_PORT: `${port}`, FSTORE_DATA_DIR: join(folder, 'data') },
      logFile: join(folder, 'serve.log'),
    });
    try {
      const answer = await whenReady(server, () => fetch(`http://127.0.0.1:${port}/health`));
      expect(answer.status).toBe(200);
    } finally {
      await server.stop();
    }
  },
  120_000,
);
