/**
 * The servers that the security tests attack: embedded and on real servers, each with and without the fast lane. Each test file runs its
 * attacks on all four, unless an attack concerns one of them alone.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { scaled } from '../harness/time-factor.js';
import { createPlatform, type FStoreProcess, type Platform, type PlatformName } from '../system/platform.js';

/** One way of running FStore. */
export interface ServerForm {
  readonly platform: Exclude<PlatformName, 'cluster'>;
  readonly fastLane: boolean;
}

/** For `describe.each`: `[name, form]`. */
export const serverForms: readonly (readonly [string, ServerForm])[] = [
  ['embedded, with the fast lane', { platform: 'embedded', fastLane: true }],
  ['embedded, without the fast lane', { platform: 'embedded', fastLane: false }],
  ['real servers, with the fast lane', { platform: 'servers', fastLane: true }],
  ['real servers, without the fast lane', { platform: 'servers', fastLane: false }],
];

export interface AttackedServer extends FStoreProcess {
  readonly platform: Platform;
  /** Ends the server and drops what it left. */
  close(): Promise<void>;
}

/** Starts `fstore serve` in one form; `environment` is added to that of the form. */
export async function startAttackedServer(
  { platform: name, fastLane }: ServerForm,
  environment: Readonly<Record<string, string>> = {},
): Promise<AttackedServer> {
  const platform = await createPlatform(name);
  try {
    const running = await platform.start({ environment: { FSTORE_FAST_LANE: String(fastLane), ...environment } });
    return { ...running, platform, close: () => platform.drop() };
  } catch (error) {
    await platform.drop();
    throw error;
  }
}

/**
 * Asks `/health` again and again while `attack` runs.
 *
 * @returns what the attack returned, and the longest time that an answer of /health took, in milliseconds
 */
export async function watchStall<T>(
  url: string,
  attack: () => Promise<T>,
): Promise<{ readonly result: T; readonly stallMs: number }> {
  let stallMs = 0;
  let running = true;
  const ask = async (): Promise<void> => {
    while (running) {
      const begun = performance.now();
      await (await fetch(`${url}/health`)).arrayBuffer();
      stallMs = Math.max(stallMs, performance.now() - begun);
      await sleep(5);
    }
  };
  const asking = ask();
  try {
    const result = await attack();
    running = false;
    await asking;
    return { result, stallMs };
  } finally {
    running = false;
    await asking;
  }
}

/** How long other requests may have to wait for an attack, in milliseconds. */
export const maxStallMs = (): number => scaled(250);

/** Resident memory of a process, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}
