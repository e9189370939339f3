/** Shared by both benches: servers, a platform with fresh names, and the report files. */
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { type ServerPool, startServers } from '../../test/harness/server-pool.js';
import { endpointVariables } from '../../test/harness/test-server.js';
import type { Platform } from '../../test/system/platform.js';

const SERVERS = ['redis', 'postgres', 'mongo', 'kafka'] as const;

/** Prints a line to standard error. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/**
 * Runs `work` with started servers, or those of the environment, and ends the process. Drops the platforms that `keep`
 * was given, whatever happens.
 */
export async function withServers(
  work: (keep: (platform: Platform) => void, pool: ServerPool) => Promise<void>,
): Promise<never> {
  const pool = await startServers({ only: [...SERVERS] });
  for (const name of SERVERS) process.env[endpointVariables[name]] = pool.endpoints[name];
  const platforms: Platform[] = [];
  // The servers end with this process, but databases must be dropped before that.
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error(signal)));
  });
  interrupted.catch(() => {});
  let code = 0;
  try {
    await Promise.race([work((platform) => platforms.push(platform), pool), interrupted]);
  } catch (failure) {
    say(failure instanceof Error ? `${failure.stack}` : String(failure));
    code = 1;
  }
  for (const platform of platforms) await platform.drop().catch((failure) => say(`${failure}`));
  await pool.stop();
  process.exit(code);
}

/** Describes the machine and the versions of the servers. */
export function machineOf(pool: ServerPool): Record<string, unknown> {
  const [cpu] = cpus();
  const hardware = { cpus: cpus().length, model: cpu?.model, memoryGb: Math.round(totalmem() / 1e9) };
  return { ...hardware, node: process.version, servers: pool.versions };
}

/** Prints the text. With `out`, also writes `<out>.json`, `.md` and `.svg`. */
export function report(out: string | undefined, json: unknown, text: string, svg: string): void {
  process.stdout.write(text);
  if (out === undefined) return;
  const base = resolve(out).replace(/\.json$/, '');
  writeFileSync(`${base}.json`, `${JSON.stringify(json, null, 2)}\n`);
  writeFileSync(`${base}.md`, text);
  writeFileSync(`${base}.svg`, svg);
}
