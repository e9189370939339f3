/** `/ready` tells whether a worker is alive, wherever workers run, and stays 200 without one. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../harness/eventually.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

interface Ready {
  readonly status: number;
  readonly worker: string;
  readonly alive: string | undefined;
}

let platform: Platform;
let server: FStoreProcess;

async function ready(): Promise<Ready> {
  const response = await fetch(`${server.url}/ready`);
  const { worker } = (await response.json()) as { worker: string };
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  return { status: response.status, worker, alive: /^fstore_workers_alive (\d+)$/m.exec(metrics)?.[1] };
}

beforeAll(async () => {
  platform = await createPlatform('servers');
  server = await platform.start({ arguments: ['serve', '--without-worker'] });
});
afterAll(() => platform?.drop());

test('a server tells that its workers are absent, alive, killed and stopped', async () => {
  expect(await ready()).toEqual({ status: 200, worker: 'absent', alive: '0' });
  const first = await platform.start({ arguments: ['worker'] });
  expect(await ready()).toEqual({ status: 200, worker: 'ok', alive: '1' });
  first.process.kill('SIGKILL');
  await eventually(async () => expect(await ready()).toEqual({ status: 200, worker: 'absent', alive: '0' }), {
    timeoutMs: 40_000,
  });
  const second = await platform.start({ arguments: ['worker'] });
  expect(await ready()).toEqual({ status: 200, worker: 'ok', alive: '1' });
  // A worker that stops withdraws at once.
  await second.process.stop();
  expect(await ready()).toEqual({ status: 200, worker: 'absent', alive: '0' });
});
