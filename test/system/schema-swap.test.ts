/** What an exchange of the schema costs a replica. The figures are those of `bench/schema-swap.ts`, which runs longer. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { SwapReport } from '../../bench/schema-swap.js';
import { runProcess } from '../harness/child-process.js';
import { scaled } from '../harness/time-factor.js';

async function measure(views: number, features: number, swaps: number): Promise<SwapReport> {
  const folder = await mkdtemp(join(tmpdir(), 'fstore-swap-'));
  const logFile = join(folder, 'report.json');
  const code = ['--expose-gc', '--import', 'tsx', 'bench/schema-swap.ts', `${views}`, `${features}`, `${swaps}`];
  await runProcess(process.execPath, code, { logFile, env: { NODE_OPTIONS: '', NODE_ENV: 'production' } });
  const report = JSON.parse(await readFile(logFile, 'utf8')) as SwapReport;
  await rm(folder, { recursive: true });
  return report;
}

describe('a swap of the schema', () => {
  test('of 1,000 views with 20 features each holds up requests for at most 50 ms', async () => {
    const report = await measure(1_000, 20, 120);
    process.stdout.write(`${JSON.stringify(report)}\n`);
    // The median, because a busy machine may stop the process at any time for longer.
    expect(report.blockP50Ms).toBeLessThanOrEqual(scaled(50));
  }, 120_000);

  test('done 2,000 times leaves the heap within 20 % of where it was', async () => {
    const report = await measure(100, 20, 2_000);
    process.stdout.write(`${JSON.stringify(report)}\n`);
    expect(report.heapAtEndMb).toBeLessThanOrEqual(report.heapAfterWarmUpMb * 1.2);
  }, 120_000);
});
