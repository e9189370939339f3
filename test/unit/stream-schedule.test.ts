import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { STREAM_JOB } from '../../src/materialization/stream-job.js';
import { StreamSchedule } from '../../src/materialization/stream-schedule.js';
import { type MemoryFStore, startMemoryFStore } from './fakes/memory-fstore.js';
import { MemoryJobStore } from './fakes/memory-job-store.js';

const NOW = Date.UTC(2026, 0, 31);
const limits = { clockSkew: 0, maxBytes: 1_000 };
const view = (name: string, engine: 'builtin' | 'spark', description = '') => ({
  ...{ kind: 'featureView', name, entity: 'user', source: 'payments', features: ['amount'], engine, description },
});

describe('a schedule of streams', () => {
  let fstore: MemoryFStore;
  let jobs: MemoryJobStore;
  const schedule = () => new StreamSchedule({ jobs, limits, snapshot: () => fstore.services.snapshot() });
  const lease = async () => (await jobs.lease([STREAM_JOB], 'w', 1_000))!;

  beforeEach(async () => {
    fstore = await startMemoryFStore(NOW);
    jobs = new MemoryJobStore(() => NOW);
    await fstore.apply([
      { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
      {
        ...{ kind: 'source', name: 'payments', timestamp: 'at', stream: {} },
        schema: { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' },
      },
      view('one', 'spark'),
      view('two', 'builtin'),
    ]);
  });
  afterEach(() => fstore.close());

  test('asks for one job of a source while there are views on another engine, whoever looks', async () => {
    const [one, other] = [schedule(), schedule()];
    expect(await one.look()).toEqual(['payments']);
    expect([await one.look(), await other.look()]).toEqual([[], []]);
    await fstore.apply([view('one', 'builtin')]);
    const job = await lease();
    expect(job.request).toMatchObject({ source: 'payments', revision: 1 });
    await jobs.finish(job.id, job.owner, null);
    expect(await one.look()).toEqual([]);
  });

  test('asks again when a job ends although it was wanted again meanwhile', async () => {
    const one = schedule();
    await one.look();
    const job = await lease();
    await fstore.apply([view('one', 'builtin')]);
    await fstore.apply([view('two', 'spark')]);
    expect(await one.look()).toEqual([]);
    await jobs.finish(job.id, job.owner, null);
    expect(await one.look()).toEqual(['payments']);
  });

  test('leaves a cancelled job alone until other views are on the engine', async () => {
    const one = schedule();
    await one.look();
    await jobs.cancel((await jobs.list({ kind: STREAM_JOB, limit: 1 }))[0]!.id);
    await fstore.apply([view('one', 'spark', 'other words')]);
    expect(await one.look()).toEqual([]);
    await fstore.apply([view('two', 'spark')]);
    expect(await one.look()).toEqual(['payments']);
  });

  test('asks for a failed job again when definitions have changed, and when a worker starts', async () => {
    const one = schedule();
    const fail = async (): Promise<void> => {
      const job = await lease();
      await jobs.fail(job.id, job.owner, { code: 'ENGINE_FAILED', message: 'no Spark' });
    };
    await one.look();
    await fail();
    expect(await one.look()).toEqual([]);
    expect(await schedule().look()).toEqual(['payments']);
    await fail();
    await fstore.apply([view('one', 'spark', 'other words')]);
    expect(await one.look()).toEqual(['payments']);
  });
});
