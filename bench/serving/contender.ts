/** Starts the compared servers, each as a process of its own. */

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type RunningProcess, startProcess, whenReady } from '../../test/harness/child-process.js';
import { freePort } from '../../test/harness/free-port.js';
import { feastPrograms, NODE_OPTIONS } from './tools.js';
import { bodyOf, type Door, PATHS, type Workload, workloadNamed } from './workload.js';
import { startFStore, type World } from './world.js';

export const CONTENDERS = ['fstore', 'raw', 'mercurius', 'apollo', 'feast', 'feast2'] as const;
export type ContenderName = (typeof CONTENDERS)[number];

/** A started server. */
export interface Contender {
  readonly name: ContenderName;
  readonly door: Door;
  readonly port: number;
  readonly running: RunningProcess;
}

/** Sends one request to a contender and returns the text of the answer. */
export async function askContender(
  { port, door }: Pick<Contender, 'port' | 'door'>,
  workload: Workload,
  ids: readonly string[],
): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${PATHS[door]}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: bodyOf(workload, door, ids),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${text.slice(0, 500)}`);
  return text;
}

function command(
  world: World,
  name: ContenderName,
  port: number,
  build: string,
  programs: string,
): [program: string, arguments_: string[]] {
  if (name !== 'feast' && name !== 'feast2') {
    return [process.execPath, [join(build, `${name}.js`), `${port}`, world.redisUrl('fragments')]];
  }
  const workers = name === 'feast2' ? '2' : '1';
  const arguments_ = ['-c', world.feastFolder, 'serve', '-h', '127.0.0.1', '-p', `${port}`, '-w', workers];
  // By default a worker ends after 1,000 requests, and the next takes a second to start. That alone would be measured.
  return [
    join(programs, 'feast'),
    [...arguments_, '--no-access-log', '--max-requests', '0', '--max-requests-jitter', '0'],
  ];
}

/**
 * Starts a contender and waits until it answers.
 *
 * @param main FStore's build
 * @param build the folder of the built contenders
 */
export async function startContender(
  world: World,
  name: ContenderName,
  main: string,
  build: string,
): Promise<Contender> {
  if (name === 'fstore') {
    const { running, url } = await startFStore(world, main, ['--without-worker'], 'fstore');
    return { name, door: 'graphql', port: Number(new URL(url).port), running };
  }
  const door = name.startsWith('feast') ? 'feast' : 'graphql';
  const port = await freePort();
  const programs = door === 'feast' ? await feastPrograms() : '';
  const [program, arguments_] = command(world, name, port, build, programs);
  const running = startProcess(program, arguments_, {
    env: { NODE_ENV: 'production', FEAST_USAGE: 'False', NODE_OPTIONS },
    logFile: join(world.folder, `${name}.log`),
  });
  try {
    await whenReady(running, () => askContender({ port, door }, workloadNamed('one10'), ['u0']), { everyMs: 200 });
    // Feast answers before all its workers have read the registry.
    if (door === 'feast') await delay(2_000);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return { name, door, port, running };
}
