/**
 * The command line of the test harness:
 *   tsx test/harness/main.ts run [--only a,b] -- <command…>   starts servers, runs the command, returns its exit code
 *   tsx test/harness/main.ts up [--only a,b] [--exports X]    starts servers until Ctrl-C; X gets endpoints as exports
 */
import { rename, rm, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { startProcess } from './child-process.js';
import { type ServerPool, startServers } from './server-pool.js';
import { endpointVariables, type ServerName, serverNames } from './test-server.js';

const usage = 'usage: main.ts run [--only a,b] -- <command…>  |  main.ts up [--only a,b] [--exports <file>]';

function describe(pool: ServerPool): string {
  const lines = serverNames.flatMap((name) => {
    const endpoint = pool.endpoints[name];
    if (endpoint === undefined) return [];
    const address = endpoint.replace(/^\w+:\/\/(?:[^@/]*@)?/, '').replace(/\/.*$/, '');
    return [`${name.padEnd(14)} ${(pool.versions[name] ?? '').padEnd(16)} ${address}  (${pool.origins[name]})`];
  });
  return lines.join('\n');
}

function variables(pool: ServerPool): Record<string, string> {
  const entries = Object.entries(pool.endpoints).map(([name, endpoint]) => [
    endpointVariables[name as ServerName],
    endpoint,
  ]);
  // The harness's own broker permits a short session timeout. Another broker may insist on 6 s.
  if (pool.origins.kafka === 'native') entries.push(['FSTORE_TEST_KAFKA_SESSION_TIMEOUT', '2s']);
  return Object.fromEntries(entries);
}

function serversAsked(only: string | undefined): ServerName[] | undefined {
  const names = only?.split(',');
  const unknown = names?.find((name) => !(serverNames as readonly string[]).includes(name));
  if (unknown !== undefined) throw new Error(`no server "${unknown}"; there are ${serverNames.join(', ')}`);
  return names as ServerName[] | undefined;
}

/** Resolves at the first request to stop. Later requests are ignored, because stopping has begun. */
function stopRequested(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}

async function run(pool: ServerPool, command: string, commandArguments: string[], stop: Promise<NodeJS.Signals>) {
  const running = startProcess(command, commandArguments, { env: variables(pool), foreground: true });
  void stop.then((signal) => running.kill(signal));
  const { code, signal } = await running.exited;
  if (signal) process.stderr.write(`${command} was ended by ${signal}\n`);
  return code ?? 1;
}

async function keepUp(
  pool: ServerPool,
  exportsFile: string | undefined,
  stop: Promise<NodeJS.Signals>,
): Promise<number> {
  if (exportsFile !== undefined) {
    const exports = Object.entries(variables(pool)).map(([name, value]) => `export ${name}='${value}'\n`);
    // Renamed when complete, so that nobody sources half a file.
    await writeFile(`${exportsFile}.${process.pid}`, exports.join(''));
    await rename(`${exportsFile}.${process.pid}`, exportsFile);
    process.stdout.write(`source ${exportsFile}\n`);
  }
  await Promise.race([stop, new Promise((resolve) => setInterval(resolve, 2 ** 31 - 1))]);
  if (exportsFile !== undefined) await rm(exportsFile, { force: true });
  return 0;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { only: { type: 'string' }, exports: { type: 'string' } },
  });
  const [verb, command, ...commandArguments] = positionals;
  if ((verb !== 'run' && verb !== 'up') || (verb === 'run') !== (command !== undefined)) throw new Error(usage);
  const only = serversAsked(values.only);
  const stop = stopRequested();
  const pool = await startServers(only ? { only } : {});
  try {
    process.stdout.write(`${describe(pool)}\n`);
    if (command !== undefined) return await run(pool, command, commandArguments, stop);
    return await keepUp(pool, values.exports, stop);
  } finally {
    await pool.stop();
  }
}

main().then(
  (code) => process.exit(code),
  (failure) => {
    process.stderr.write(`${failure instanceof Error ? failure.message : String(failure)}\n`);
    process.exit(1);
  },
);
