/**
 * The image, where no container engine runs: the files that COPY and .dockerignore let through go into an empty folder, the RUN lines of the
 * Dockerfile run there, and the result starts with the CMD of the Dockerfile.
 */
import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type RunningProcess, runProcess, startProcess } from '../harness/child-process.js';
import { eventually } from '../harness/eventually.js';
import { freePort } from '../harness/free-port.js';
import { commandOf, copy, ignoreRules, isIgnored, readStages, type Stage, variablesOf } from '../harness/image.js';
import { repositoryRoot } from '../harness/server-cache.js';
import { SPARK_VERSION } from '../harness/spark-home.js';

const run = promisify(execFile);
const asRoot = process.getuid?.() === 0;
/** The user `node` of the image; tests that do not run as root keep their own. */
const NODE_USER = asRoot ? { uid: 1000, gid: 1000 } : {};

let root: string;
let stages: Stage[];
let rules: string[];
const stage = (name: string): Stage => stages.find((one) => one.name === name)!;
const place = (name: string): string => join(root, name);

/** Runs the COPY and RUN lines of a stage in an empty folder that stands for `/`. */
async function build(name: string): Promise<void> {
  let folder = '/';
  await mkdir(place(name));
  for (const instruction of stage(name).instructions) {
    const { name: kind, text, flags } = instruction;
    if (kind === 'WORKDIR') {
      folder = text;
      await mkdir(join(place(name), folder), { recursive: true });
    } else if (kind === 'COPY') {
      const source = flags.from ? { from: place(flags.from), rules: [] } : { from: repositoryRoot, rules };
      await copy(instruction, { ...source, root: place(name), folder });
      if (flags.chown && asRoot) await own(join(place(name), text.split(' ').at(-1)!));
    } else if (kind === 'RUN') {
      await runProcess('sh', ['-ec', text], {
        cwd: join(place(name), folder),
        logFile: join(root, `${name}.log`),
        // Packages come from npm's cache, where it has them. The variables of this process belong to another project.
        env: {
          npm_config_prefer_offline: 'true',
          NODE_OPTIONS: '',
          NODE_ENV: undefined,
          npm_config_local_prefix: undefined,
        },
      });
    }
  }
}

async function own(folder: string): Promise<void> {
  await chown(folder, 1000, 1000);
  for (const entry of await readdir(folder)) await chown(join(folder, entry), 1000, 1000);
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fstore-image-'));
  await chmod(root, 0o755);
  [stages, rules] = await Promise.all([readStages('docker/Dockerfile'), ignoreRules()]);
}, 10_000);
afterAll(() => rm(root, { recursive: true, force: true }));

describe('the image that is built without --target', () => {
  let server: RunningProcess;
  let port: number;
  let environment: Record<string, string | undefined>;
  beforeAll(async () => {
    expect(stages.at(-1)).toMatchObject({ base: 'runtime', instructions: [] });
    await build('build');
    await build('runtime');
    const app = place('runtime/app');
    // Nobody but root may write to the programs, and root does not run them.
    await run('chmod', ['-R', 'a-w', app]);
    port = await freePort();
    const variables = Object.entries(variablesOf(stage('runtime')));
    environment = {
      ...Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined])),
      ...Object.fromEntries(
        variables.map(([name, value]) => [name, value.startsWith('/data') ? place(`runtime${value}`) : value]),
      ),
      PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
      FSTORE_PORT: `${port}`,
      TMPDIR: tmpdir(),
    };
    const [command, ...words] = commandOf(stage('runtime').instructions.find(({ name }) => name === 'CMD')!);
    const options = { cwd: app, env: environment, ...NODE_USER, logFile: join(root, 'serve.log') };
    server = startProcess(command!, words, options);
  }, 300_000);
  afterAll(async () => {
    await server?.stop();
    await run('chmod', ['-R', 'u+w', root]);
  });

  test('serves /health as a user without rights, from a folder that it cannot write to', async () => {
    await eventually(
      async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/health`).catch((failure: unknown) => {
          throw new Error(`${failure}\n${server.logTail()}`);
        });
        expect(answer.status).toBe(200);
      },
      { timeoutMs: 60_000 },
    );
    if (asRoot) expect(await readFile(`/proc/${server.pid}/status`, 'utf8')).toMatch(/^Uid:\s+1000/m);
  });

  test('passes its own health check', async () => {
    const [command, ...words] = commandOf(stage('runtime').instructions.find(({ name }) => name === 'HEALTHCHECK')!);
    await runProcess(command!, words, { env: environment, logFile: join(root, 'health.log') });
  });

  test('holds what a worker hands to Spark, and no package that only development needs', async () => {
    const app = place('runtime/app');
    const { files } = JSON.parse(await readFile('package.json', 'utf8')) as { files: string[] };
    expect(files.filter((file) => file.startsWith('spark/')).length).toBeGreaterThan(0);
    const python = (names: string[]) => names.filter((name) => name.endsWith('.py')).sort();
    const [own, packed] = await Promise.all([readdir('spark/fstore_spark'), readdir(join(app, 'spark/fstore_spark'))]);
    expect(python(packed)).toEqual(python(own));
    expect(packed).toContain('plan.schema.json');
    expect(await readdir(join(app, 'spark'))).toContain('fstore_job.py');
    const packages = await readdir(join(app, 'node_modules'));
    expect(packages).not.toEqual(expect.arrayContaining(['typescript']));
    expect(packages).toContain('fastify');
  });
});

describe('the target spark', () => {
  test('brings Java, Python and the Spark that the tests run', () => {
    const lines = stage('spark')
      .instructions.filter(({ name }) => name === 'RUN')
      .map(({ text }) => text);
    expect(lines.join('\n')).toMatch(/\bopenjdk-17-jre-headless\b/);
    expect(lines.join('\n')).toContain(`pyspark==${SPARK_VERSION}`);
    expect(stage('spark').base).toBe('runtime');
  });

  test('names the jars that Maven fetches for it', async () => {
    const [line] = stage('jars').instructions.filter(({ name }) => name === 'RUN');
    const pom = await readFile('docker/spark-jars.xml', 'utf8');
    expect(line!.text).toContain('dependency:copy-dependencies');
    const declared = [...pom.matchAll(/<artifactId>([^<]+)<\/artifactId><version>([^<]+)</g)].map(
      ([, artifact, version]) => `/opt/jars/${artifact}-${version}.jar`,
    );
    const jars = variablesOf(stage('spark')).FSTORE_SPARK_JARS!.split(',');
    expect(declared).toHaveLength(2);
    expect(jars).toEqual(expect.arrayContaining(declared));
    const page = await readFile('docs/spark.md', 'utf8');
    for (const jar of jars)
      expect(page).toContain(
        jar.slice('/opt/jars/'.length, -'.jar'.length).replace(/-(?=\d+\.\d+\.\d+$|\d+\.\d+\.\d+$)/, ':'),
      );
  });

  test('sets only variables that FStore knows, and ends as a user without rights', async () => {
    const config = await readFile('src/config.ts', 'utf8');
    for (const target of ['runtime', 'spark']) {
      for (const name of Object.keys(variablesOf(stage(target))).filter((one) => one.startsWith('FSTORE_'))) {
        expect(config).toContain(`${name}:`);
      }
      const users = stage(target).instructions.filter(({ name }) => name === 'USER');
      expect(users.at(-1)?.text).toBe('node');
    }
  });

  test('has RUN lines that a shell can read', async () => {
    for (const { instructions } of stages) {
      for (const { text } of instructions.filter(({ name }) => name === 'RUN')) await run('sh', ['-n', '-c', text]);
    }
  });
});

test('.dockerignore keeps everything out that no stage copies', async () => {
  for (const path of [
    'node_modules/x/index.js',
    '.git/config',
    '.fstore/data',
    'test/unit/a.test.ts',
    'dist/main.js',
    '.cache/x',
  ]) {
    expect({ path, ignored: isIgnored(rules, path) }).toEqual({ path, ignored: true });
  }
  expect(isIgnored(rules, 'src/main.ts')).toBe(false);
  expect(isIgnored(rules, 'spark/fstore_spark/__pycache__/a.pyc')).toBe(true);
});
