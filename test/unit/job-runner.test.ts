/** The runner of durable jobs, on a store in memory and a clock that the tests move by hand. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { FStoreError } from '../../src/errors.js';
import { type JobContext, type JobHandler, type JobLog, JobRunner } from '../../src/materialization/job-runner.js';
import type { Job, Json } from '../../src/store/job-store.js';
import { MemoryJobStore } from './fakes/memory-job-store.js';

const LEASE = 30_000;
const POLL = 500;

/** One call of a handler, which ends when the test says so, or when its signal is aborted and `obedient` is true. */
interface Call {
  readonly job: Job;
  readonly context: JobContext;
  succeed(result: Json): void;
  crash(error: unknown): void;
}

describe('the job runner', () => {
  let jobs: MemoryJobStore;
  let calls: Call[];
  let obedient: boolean;
  let lines: { message: string; fields: Record<string, unknown> }[];
  let started: JobRunner[];

  const handler: JobHandler = (job, context) =>
    new Promise((succeed, crash) => {
      calls.push({ job, context, succeed, crash });
      context.signal.addEventListener('abort', () => obedient && crash(context.signal.reason));
    });
  const run = (owner = 'one', concurrency = 1): JobRunner => {
    const log: JobLog = (_, message, fields) => void lines.push({ message, fields });
    const runner = new JobRunner({ jobs, owner, handlers: { backfill: handler }, concurrency, log });
    started.push(runner);
    runner.start();
    return runner;
  };
  const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
  const submit = (request: Json = null) => jobs.submit({ kind: 'backfill', request });

  beforeEach(() => {
    jest.useFakeTimers();
    jobs = new MemoryJobStore();
    [calls, lines, started, obedient] = [[], [], [], true];
  });
  afterEach(async () => {
    obedient = true;
    for (const call of calls) call.crash(new Error('the test is over'));
    await Promise.all(started.map((runner) => runner.stop()));
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  describe('runs', () => {
    test('a job with its request, and stores what the handler returns', async () => {
      const { id } = await submit({ from: '2024-01-01' });
      run();
      await pass(0);
      expect(calls[0]!.job).toMatchObject({ id, request: { from: '2024-01-01' }, attempts: 1 });
      expect(calls[0]!.context.checkpoint).toBeNull();
      calls[0]!.succeed({ rows: 12 });
      await pass(0);
      expect(await jobs.get(id)).toMatchObject({ status: 'SUCCEEDED', result: { rows: 12 }, error: null });
    });

    test('the next job at once, as many at a time as it may, and none of a kind that it does not know', async () => {
      for (const request of [1, 2, 3]) await submit(request);
      await jobs.submit({ kind: 'unknown', request: 4 });
      run('one', 2);
      await pass(0);
      expect(calls.map(({ job }) => job.request)).toEqual([1, 2]);
      calls[0]!.succeed(null);
      await pass(0);
      expect(calls.map(({ job }) => job.request)).toEqual([1, 2, 3]);
      expect((await jobs.list({ status: 'QUEUED', limit: 10 })).map(({ kind }) => kind)).toEqual(['unknown']);
    });

    test('a job that comes later within one poll, and asks no more often than that, and not at all when it is full', async () => {
      run();
      await pass(10 * POLL - 1);
      expect(jobs.calls.lease).toBe(10);
      await submit();
      await pass(1);
      expect(calls).toHaveLength(1);
      expect(jobs.calls.lease).toBe(11);
      await pass(10 * POLL);
      expect(jobs.calls.lease).toBe(11);
    });

    test('on after the store could not be reached, which it asks once a second', async () => {
      await submit();
      jobs.failure = new FStoreError('STORE_UNAVAILABLE', 'no');
      run();
      await pass(4_999);
      expect(jobs.calls.lease).toBe(5);
      jobs.failure = null;
      await pass(1);
      expect(calls).toHaveLength(1);
    });
  });

  describe('a report', () => {
    test('is stored, the latest one a second, with a checkpoint that stays until there is another', async () => {
      const { id } = await submit();
      run();
      await pass(0);
      const { report } = calls[0]!.context;
      const place = { day: 1 };
      report({ done: 1, total: 10 }, place);
      place.day = 99;
      report({ done: 2, total: 10, note: 'day 2' });
      await pass(999);
      expect(jobs.calls.heartbeat).toBe(0);
      await pass(1);
      expect(await jobs.get(id)).toMatchObject({
        progress: { done: 2, total: 10, note: 'day 2' },
        checkpoint: { day: 1 },
      });
      for (let done = 3; done < 10; done += 1) {
        report({ done, total: 10 });
        await pass(100);
      }
      expect(jobs.calls.heartbeat).toBe(1);
      await pass(300);
      expect(jobs.calls.heartbeat).toBe(2);
      expect(await jobs.get(id)).toMatchObject({ progress: { done: 9, total: 10 }, checkpoint: { day: 1 } });
    });

    test('made just before the end is stored before the end', async () => {
      const { id } = await submit();
      run();
      await pass(0);
      calls[0]!.context.report({ done: 10, total: 10 }, 'all');
      calls[0]!.succeed(null);
      await pass(0);
      expect(await jobs.get(id)).toMatchObject({
        status: 'SUCCEEDED',
        progress: { done: 10, total: 10 },
        checkpoint: 'all',
      });
    });

    test('that the store did not take comes again', async () => {
      const { id } = await submit();
      run();
      await pass(0);
      jobs.failure = new FStoreError('STORE_UNAVAILABLE', 'no');
      calls[0]!.context.report({ done: 1, total: null }, 'here');
      await pass(1_500);
      jobs.failure = null;
      await pass(500);
      expect(await jobs.get(id)).toMatchObject({ progress: { done: 1, total: null }, checkpoint: 'here' });
    });

    test('of something that is not JSON is refused where it is made', async () => {
      await submit();
      run();
      await pass(0);
      expect(() => calls[0]!.context.report({ done: 1, total: 1 }, 1n as unknown as Json)).toThrow(TypeError);
    });
  });

  describe('a lease', () => {
    test('is kept for as long as a silent handler runs, by three heartbeats in its time', async () => {
      const { id } = await submit();
      run();
      await pass(10 * LEASE);
      expect(jobs.calls.heartbeat).toBe(30);
      expect(await jobs.lease(['backfill'], 'another', LEASE)).toBeNull();
      calls[0]!.succeed('done');
      await pass(0);
      expect(await jobs.get(id)).toMatchObject({ status: 'SUCCEEDED', attempts: 1 });
    });

    test('that another process has taken over ends the handler, which changes nothing of the job any more', async () => {
      const { id } = await submit();
      run();
      await pass(0);
      await jobs.expire(id);
      await jobs.lease(['backfill'], 'another', LEASE);
      calls[0]!.context.report({ done: 7, total: 7 }, 'stale');
      await pass(1_000);
      expect(calls[0]!.context.signal.aborted).toBe(true);
      expect(await jobs.get(id)).toMatchObject({
        status: 'RUNNING',
        attempts: 2,
        progress: { done: 0 },
        checkpoint: null,
      });
    });

    test('ends by the clock of the process when the store cannot be reached, before another may have the job', async () => {
      await submit();
      run();
      await pass(0);
      jobs.failure = new FStoreError('STORE_UNAVAILABLE', 'no');
      await pass(LEASE - 1);
      expect(calls[0]!.context.signal.aborted).toBe(false);
      await pass(1);
      expect(calls[0]!.context.signal.aborted).toBe(true);
      jobs.failure = null;
      await pass(1_000);
      expect(calls[1]!.job.attempts).toBe(2);
    });

    test('that ran out while the work was finished loses no result if nobody has taken the job over', async () => {
      const { id } = await submit();
      obedient = false;
      run();
      await pass(0);
      jobs.failure = new FStoreError('STORE_UNAVAILABLE', 'no');
      await pass(LEASE);
      jobs.failure = null;
      calls[0]!.succeed('late');
      await pass(0);
      expect(await jobs.get(id)).toMatchObject({ status: 'SUCCEEDED', result: 'late' });
    });

    test('of a job that has ended is kept in use until the store can be told so', async () => {
      const { id } = await submit();
      run();
      await pass(0);
      jobs.failure = new FStoreError('STORE_UNAVAILABLE', 'no');
      calls[0]!.succeed('done');
      await pass(10_500);
      jobs.failure = null;
      await pass(1_000);
      expect(await jobs.get(id)).toMatchObject({ status: 'SUCCEEDED', result: 'done' });
    });
  });

  describe('a cancelled job', () => {
    test('is told at its next heartbeat and ends as CANCELLED with its last progress', async () => {
      const { id } = await submit();
      run();
      await pass(0);
      await jobs.cancel(id);
      calls[0]!.context.report({ done: 3, total: 9 });
      await pass(1_000);
      expect(await jobs.get(id)).toMatchObject({ status: 'CANCELLED', progress: { done: 3, total: 9 }, error: null });
    });

    test('whose handler is silent is told within a third of its lease', async () => {
      const { id } = await submit();
      run();
      await pass(0);
      await jobs.cancel(id);
      await pass(LEASE / 3);
      expect(await jobs.get(id)).toMatchObject({ status: 'CANCELLED' });
    });

    test('keeps its lease while its handler winds down, and succeeds if the work was done all the same', async () => {
      obedient = false;
      const { id } = await submit();
      run();
      await pass(0);
      await jobs.cancel(id);
      await pass(5 * LEASE);
      expect(calls[0]!.context.signal.aborted).toBe(true);
      expect(await jobs.get(id)).toMatchObject({ status: 'RUNNING' });
      calls[0]!.succeed('whole');
      await pass(0);
      expect(await jobs.get(id)).toMatchObject({ status: 'SUCCEEDED', result: 'whole' });
    });
  });

  describe('a stop', () => {
    test('gives the job back with its last checkpoint, and another process goes on at once', async () => {
      const { id } = await submit();
      const runner = run();
      await pass(0);
      calls[0]!.context.report({ done: 5, total: 9 }, { day: 5 });
      await runner.stop();
      expect(await jobs.get(id)).toMatchObject({ status: 'QUEUED', attempts: 0, checkpoint: { day: 5 } });
      run('two');
      await pass(0);
      expect(calls[1]!.context.checkpoint).toEqual({ day: 5 });
      expect(calls[1]!.job).toMatchObject({ attempts: 1, progress: { done: 5, total: 9 } });
    });

    test('waits for the handler, and keeps what it returns', async () => {
      obedient = false;
      const { id } = await submit();
      const runner = run();
      await pass(0);
      let stopped = false;
      const stopping = runner.stop().then(() => {
        stopped = true;
      });
      await pass(2 * LEASE);
      expect(stopped).toBe(false);
      calls[0]!.succeed('whole');
      await stopping;
      expect(await jobs.get(id)).toMatchObject({ status: 'SUCCEEDED', result: 'whole' });
    });

    test('of an idle runner takes no time, and no job after it', async () => {
      const runner = run();
      await pass(100);
      await runner.stop();
      await submit();
      await pass(10 * POLL);
      expect(calls).toHaveLength(0);
    });

    test('while a job is being leased gives it back without running it', async () => {
      const { id } = await submit();
      const runner = run();
      await runner.stop();
      expect(calls).toHaveLength(0);
      expect(await jobs.get(id)).toMatchObject({ status: 'QUEUED', attempts: 0 });
    });
  });

  describe('a handler that fails', () => {
    const failWith = async (error: unknown): Promise<Job> => {
      const { id } = await submit();
      run();
      await pass(0);
      calls[0]!.crash(error);
      await pass(0);
      return (await jobs.get(id))!;
    };

    test('with an error of the table fails its job with that code', async () => {
      const job = await failWith(new FStoreError('VIEW_UNKNOWN', 'There is no view stats'));
      expect(job).toMatchObject({
        status: 'FAILED',
        error: { code: 'VIEW_UNKNOWN', message: 'There is no view stats' },
      });
    });

    test('with anything else fails its job with INTERNAL; the stack is in the log and not in the job', async () => {
      const job = await failWith(new Error('broken\n    at secret (/home/someone/file.ts:1:1)'));
      expect(job).toMatchObject({ status: 'FAILED', error: { code: 'INTERNAL', message: 'broken' } });
      expect(lines.find(({ message }) => message === 'job failed')?.fields.err).toMatchObject({
        stack: expect.stringContaining('secret'),
      });
    });

    test.each([[undefined], [null], ['text'], [new Error('')]])('with %p fails its job as well', async (thrown) => {
      expect((await failWith(thrown)).error?.code).toBe('INTERNAL');
    });

    test('by returning what is not JSON fails its job', async () => {
      const { id } = await submit();
      run();
      await pass(0);
      calls[0]!.succeed(1n as unknown as Json);
      await pass(0);
      expect(await jobs.get(id)).toMatchObject({ status: 'FAILED', error: { code: 'INTERNAL' } });
    });

    test('leaves the runner as it was: the next job runs', async () => {
      await failWith(new Error('broken'));
      const { id } = await submit();
      await pass(POLL);
      calls[1]!.succeed(1);
      await pass(0);
      expect(await jobs.get(id)).toMatchObject({ status: 'SUCCEEDED', result: 1 });
    });
  });
});
