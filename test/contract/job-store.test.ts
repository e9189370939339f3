/** The port of durable jobs, held by PostgreSQL and by the fake that unit tests run on; `other` is a second process. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { JobRunner } from '../../src/materialization/job-runner.js';
import { type Job, type JobStore, type Json, MAX_ATTEMPTS } from '../../src/store/job-store.js';
import { connectPostgresJobStore } from '../../src/store/job-store-postgres.js';
import { eventually } from '../harness/eventually.js';
import { createTestDatabase } from '../harness/test-servers.js';
import { MemoryJobStore } from '../unit/fakes/memory-job-store.js';
import { PROJECT, query } from './store/postgres-platform.js';

interface JobPlatform {
  readonly store: JobStore;
  readonly other: JobStore;
  /** As if the lease of a job had run out by the store's clock. */
  expire(id: string): Promise<void>;
  close(): Promise<void>;
}

async function openMemory(): Promise<JobPlatform> {
  const store = new MemoryJobStore();
  return { store, other: store, expire: (id) => store.expire(id), close: () => store.close() };
}

async function openPostgres(): Promise<JobPlatform> {
  const database = await createTestDatabase();
  const connect = () => connectPostgresJobStore({ url: database.url, project: PROJECT });
  const [store, other] = await Promise.all([connect(), connect()]);
  return {
    store,
    other,
    async expire(id) {
      const past = `now() - interval '1 second'`;
      await query(database.url, `UPDATE fstore_${PROJECT}.jobs SET lease_until = ${past} WHERE uuid = $1`, [id]);
    },
    async close() {
      await store.close();
      await other.close();
      await database.drop();
    },
  };
}

const LEASE = 60_000;
const none = { done: 0, total: null };
const UUID_V7 = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;
/** The time in a UUIDv7, in milliseconds. */
const timeOf = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
let kinds = 0;
/** A kind that no other test uses. */
const freshKind = () => `kind_${++kinds}`;

test('a job of an older FStore gets an id of the time when it was created, and keeps its number', async () => {
  const database = await createTestDatabase();
  try {
    const options = { url: database.url, project: PROJECT };
    await (await connectPostgresJobStore(options)).close();
    const schema = `fstore_${PROJECT}`;
    for (const statement of [
      `DELETE FROM ${schema}.migrations WHERE file = '010-job-ids.sql'`,
      `ALTER TABLE ${schema}.jobs DROP COLUMN uuid`,
      `DROP FUNCTION ${schema}.uuid_of_time`,
      `INSERT INTO ${schema}.jobs (kind, request, created_at)
       SELECT 'old', to_json(day), timestamptz '2024-01-01T00:00:00.123456Z' + day * interval '1 day'
       FROM generate_series(1, 50) AS day`,
    ]) {
      await query(database.url, statement, []);
    }
    const migrated = await connectPostgresJobStore(options);
    try {
      const jobs = (await migrated.list({ limit: 100 })).toReversed();
      for (const { id } of jobs) expect(id).toMatch(UUID_V7);
      const days = jobs.map((_, index) => Date.parse('2024-01-02T00:00:00.123Z') + index * 86_400_000);
      expect(jobs.map(({ id }) => timeOf(id))).toEqual(days);
      expect(jobs.map(({ number }) => number)).toEqual(jobs.map(({ request }) => request));
      expect(await migrated.get(jobs[7]!.id)).toEqual(jobs[7]);
      expect((await migrated.submit({ kind: 'old', request: 51 })).number).toBe(51);
    } finally {
      await migrated.close();
    }
  } finally {
    await database.drop();
  }
});

describe.each([
  ['PostgreSQL', openPostgres],
  ['the fake', openMemory],
])('the job store on %s', (_, open) => {
  let platform: JobPlatform;
  let store: JobStore;
  let other: JobStore;

  beforeAll(async () => {
    platform = await open();
    ({ store, other } = platform);
  });
  afterAll(() => platform?.close());

  /** A job of a new kind that `owner` holds. */
  const leased = async (owner = 'a'): Promise<Job> => {
    const kind = freshKind();
    await store.submit({ kind, request: null });
    return (await store.lease([kind], owner, LEASE))!;
  };

  describe('a submitted job', () => {
    test('is queued, and read by another process with its request as it was', async () => {
      const request = { text: 'a\u0000b "ü"', list: [1, null, { deep: true }], zero: 0 };
      const job = await store.submit({ kind: freshKind(), request });
      expect(job).toMatchObject({
        status: 'QUEUED',
        request,
        progress: none,
        checkpoint: null,
        result: null,
        error: null,
        attempts: 0,
        startedAt: null,
        finishedAt: null,
      });
      expect(job.createdAt).toBeInstanceOf(Date);
      expect(await other.get(job.id)).toEqual(job);
    });

    test.each<[Json]>([[null], ['text'], [0], [[]]])('may have the request %p', async (request) => {
      const { id } = await store.submit({ kind: freshKind(), request });
      expect((await other.get(id))?.request).toEqual(request);
    });

    test('has a UUIDv7 of the time when it was created as its id, and no two jobs have the same', async () => {
      const kind = freshKind();
      const jobs = await Promise.all(
        Array.from({ length: 100 }, (_one, index) => (index % 2 ? store : other).submit({ kind, request: index })),
      );
      for (const { id, createdAt } of jobs) {
        expect(id).toMatch(UUID_V7);
        expect(Math.abs(timeOf(id) - createdAt.getTime())).toBeLessThanOrEqual(1);
      }
      expect(new Set(jobs.map(({ id }) => id)).size).toBe(100);
      // Ids of one millisecond have nothing in common but their time.
      expect(new Set(jobs.map(({ id }) => id.slice(15))).size).toBe(100);
    });

    test('has an id that sorts after those of earlier milliseconds, and a greater number', async () => {
      const kind = freshKind();
      const first = await store.submit({ kind, request: 1 });
      const later = await eventually(async () => {
        const job = await other.submit({ kind, request: 2 });
        expect(timeOf(job.id)).toBeGreaterThan(timeOf(first.id));
        return job;
      });
      expect([later.id, first.id].sort()).toEqual([first.id, later.id]);
      expect(later.number).toBeGreaterThan(first.number);
    });

    test.each([
      '0',
      '1',
      '999999',
      '-1',
      'x',
      '',
      '99999999999999999999',
      'a\u0000b',
      'x'.repeat(100_000),
      "' OR true --",
      '00000000-0000-0000-0000-000000000000',
      '01890a5d-ac96-774b-bcce-b302099a8057',
      '{01890a5d-ac96-774b-bcce-b302099a8057}',
      '01890a5dac96774bbcceb302099a8057',
      ' 01890a5d-ac96-774b-bcce-b302099a8057',
      '01890a5d-ac96-774b-bcce-b302099a8057\n',
    ])('is not what the id %j names', async (id) => {
      const { number } = await store.submit({ kind: freshKind(), request: null });
      for (const one of [id, `${number}`]) {
        expect(await store.get(one)).toBeNull();
        await expect(store.cancel(one)).rejects.toMatchObject({ code: 'JOB_UNKNOWN', location: { field: 'id' } });
        const lost = { code: 'JOB_LEASE_LOST' };
        await expect(store.heartbeat(one, 'a', LEASE, none, undefined)).rejects.toMatchObject(lost);
        await expect(store.finish(one, 'a', null)).rejects.toMatchObject(lost);
        await expect(store.release(one, 'a')).rejects.toMatchObject(lost);
      }
    });
  });

  describe('a key', () => {
    test('gives two submits at once the same job, whichever processes they come from', async () => {
      const kind = freshKind();
      const submits = Array.from({ length: 20 }, (_one, index) =>
        (index % 2 ? store : other).submit({ kind, request: index, key: 'k' }),
      );
      expect(new Set((await Promise.all(submits)).map(({ id }) => id)).size).toBe(1);
      expect(await store.list({ kind, limit: 10 })).toHaveLength(1);
    });

    test('belongs to a kind, and to one job until that has ended', async () => {
      const kind = freshKind();
      const first = await store.submit({ kind, request: 1, key: 'k' });
      expect((await store.submit({ kind: freshKind(), request: 1, key: 'k' })).id).not.toBe(first.id);
      await store.lease([kind], 'a', LEASE);
      expect(await other.submit({ kind, request: 2, key: 'k' })).toMatchObject({ id: first.id, request: 1 });
      await store.finish(first.id, 'a', null);
      expect(await other.submit({ kind, request: 2, key: 'k' })).toMatchObject({ request: 2, status: 'QUEUED' });
    });

    test('that is absent makes each submit a job of its own', async () => {
      const kind = freshKind();
      await Promise.all([store.submit({ kind, request: 1 }), other.submit({ kind, request: 1 })]);
      expect(await store.list({ kind, limit: 10 })).toHaveLength(2);
    });

    test('comes before what is to be done once: while its job is unfinished, nothing is taken for done', async () => {
      const kind = freshKind();
      const manual = await store.submit({ kind, request: 'manual', key: 'k' });
      const due = { kind, request: 'due', key: 'k', once: 'k@1' };
      expect((await other.submit(due)).id).toBe(manual.id);
      await store.lease([kind], 'a', LEASE);
      await store.finish(manual.id, 'a', null);
      expect(await other.submit(due)).toMatchObject({ request: 'due', status: 'QUEUED' });
    });

    test.each([['x'.repeat(513)], ['a\u0000b']])('that cannot be stored is refused', async (key) => {
      await expect(store.submit({ kind: freshKind(), request: 1, key })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
      await expect(store.submit({ kind: freshKind(), request: 1, once: key })).rejects.toMatchObject({
        code: 'BAD_REQUEST',
      });
      await store.submit({ kind: freshKind(), request: 1, key: '💾'.repeat(256) });
    });
  });

  describe('what is to be done once', () => {
    test('is one job of its kind, however many ask and however soon it has ended', async () => {
      const kind = freshKind();
      const due = (request: number) => ({ kind, request, key: 'k', once: 'k@1' });
      const ended = Array.from({ length: 20 }, async (_one, index) => {
        const { id } = await (index % 2 ? store : other).submit(due(index));
        // Whoever comes later finds it ended.
        const job = await store.lease([kind], `owner ${index}`, LEASE);
        if (job) await store.finish(job.id, job.owner, null);
        return id;
      });
      const ids = new Set(await Promise.all(ended));
      expect(ids.size).toBe(1);
      expect(await other.submit(due(99))).toMatchObject({ id: [...ids][0], status: 'SUCCEEDED' });
      expect(await store.list({ kind, limit: 30 })).toHaveLength(1);
      expect((await store.submit({ ...due(1), once: 'k@2' })).id).not.toBe([...ids][0]);
      expect((await store.submit({ ...due(1), kind: freshKind() })).id).not.toBe([...ids][0]);
    });

    test('is done once also if it has failed', async () => {
      const kind = freshKind();
      const { id } = await store.submit({ kind, request: 1, once: 'a' });
      await store.lease([kind], 'a', LEASE);
      await store.fail(id, 'a', { code: 'INTERNAL', message: 'no' });
      expect(await other.submit({ kind, request: 2, once: 'a' })).toMatchObject({ id, status: 'FAILED' });
    });
  });

  describe('a lease', () => {
    test('goes to one of many who ask at once, and each of them gets another job', async () => {
      const kind = freshKind();
      for (let index = 0; index < 30; index += 1) await store.submit({ kind, request: index });
      const asked = await Promise.all(
        Array.from({ length: 50 }, (_one, index) => (index % 2 ? store : other).lease([kind], `owner ${index}`, LEASE)),
      );
      const got = asked.filter((job) => job !== null);
      // Who asks while others hold the locks of what is left may go away with nothing; nobody gets what another has.
      expect(new Set(got.map(({ id }) => id)).size).toBe(got.length);
      for (;;) {
        const job = await other.lease([kind], 'rest', LEASE);
        if (!job) break;
        got.push(job);
      }
      expect(new Set(got.map(({ id }) => id)).size).toBe(30);
      expect(got).toHaveLength(30);
    });

    test('is of the oldest job of the kinds that are asked for, and starts it', async () => {
      const [left, right] = [freshKind(), freshKind()];
      const older = await store.submit({ kind: right, request: 1 });
      await store.submit({ kind: left, request: 2 });
      const job = await other.lease([left, right], 'a', LEASE);
      expect(job).toMatchObject({ id: older.id, owner: 'a', status: 'RUNNING', attempts: 1, request: 1 });
      expect(job?.startedAt).toBeInstanceOf(Date);
      expect(await store.lease([right], 'b', LEASE)).toBeNull();
      expect(await store.lease([], 'b', LEASE)).toBeNull();
      expect(await store.lease([left], 'b', LEASE)).toMatchObject({ request: 2 });
    });

    test('that ran out by the clock of the store is taken over with progress and checkpoint', async () => {
      const kind = freshKind();
      await store.submit({ kind, request: null });
      const { id, startedAt } = (await store.lease([kind], 'a', LEASE))!;
      const progress = { done: 3, total: 9, note: 'day 3' };
      await store.heartbeat(id, 'a', 1, progress, { day: 3 });
      const taken = await eventually(async () => {
        const job = await other.lease([kind], 'b', LEASE);
        expect(job).not.toBeNull();
        return job;
      });
      expect(taken).toMatchObject({ id, attempts: 2, progress, checkpoint: { day: 3 }, owner: 'b' });
      expect(taken?.startedAt).toEqual(startedAt);
    });

    test('that was lost lets its owner change nothing', async () => {
      const { id, kind } = await leased('a');
      await platform.expire(id);
      await other.lease([kind], 'b', LEASE);
      const lost = { code: 'JOB_LEASE_LOST' };
      await expect(store.heartbeat(id, 'a', LEASE, { done: 1, total: 1 }, 'stale')).rejects.toMatchObject(lost);
      await expect(store.finish(id, 'a', 'stale')).rejects.toMatchObject(lost);
      await expect(store.fail(id, 'a', { code: 'INTERNAL', message: 'stale' })).rejects.toMatchObject(lost);
      await expect(store.release(id, 'a')).rejects.toMatchObject(lost);
      await expect(store.heartbeat('999999', 'a', LEASE, none, undefined)).rejects.toMatchObject(lost);
      expect(await store.get(id)).toMatchObject({ status: 'RUNNING', progress: none, checkpoint: null, attempts: 2 });
      await other.finish(id, 'b', 'right');
      expect(await store.get(id)).toMatchObject({ status: 'SUCCEEDED', result: 'right' });
    });

    test('that ran out but was not taken over is still good for its owner', async () => {
      const { id, kind } = await leased('a');
      await platform.expire(id);
      expect(await store.heartbeat(id, 'a', LEASE, none, undefined)).toEqual({ cancelled: false });
      expect(await other.lease([kind], 'b', LEASE)).toBeNull();
    });

    test(`that was lost ${MAX_ATTEMPTS} times fails the job with JOB_LOST, and frees its key`, async () => {
      const kind = freshKind();
      const { id } = await store.submit({ kind, request: null, key: 'k' });
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
        expect(await store.lease([kind], `a${attempt}`, LEASE)).toMatchObject({ id, attempts: attempt });
        await platform.expire(id);
      }
      expect(await other.lease([kind], 'b', LEASE)).toBeNull();
      const job = await store.get(id);
      expect(job).toMatchObject({ status: 'FAILED', error: { code: 'JOB_LOST' }, attempts: MAX_ATTEMPTS });
      expect(job?.finishedAt).toBeInstanceOf(Date);
      expect((await store.submit({ kind, request: null, key: 'k' })).id).not.toBe(id);
    });
  });

  describe('a heartbeat', () => {
    test('stores progress, and a checkpoint only if it has one; null is one', async () => {
      const { id } = await leased();
      await store.heartbeat(id, 'a', LEASE, { done: 1, total: 2 }, ['x']);
      await store.heartbeat(id, 'a', LEASE, { done: 2, total: 2 }, undefined);
      expect(await other.get(id)).toMatchObject({ progress: { done: 2, total: 2 }, checkpoint: ['x'] });
      await store.heartbeat(id, 'a', LEASE, { done: 2, total: 2 }, null);
      expect((await other.get(id))?.checkpoint).toBeNull();
    });

    test('after the end is refused', async () => {
      const { id } = await leased();
      await store.finish(id, 'a', 1);
      await expect(store.heartbeat(id, 'a', LEASE, none, undefined)).rejects.toMatchObject({ code: 'JOB_LEASE_LOST' });
    });
  });

  describe('the end', () => {
    test('may be told twice by its owner, and stays as it was first', async () => {
      const { id } = await leased();
      await store.finish(id, 'a', { rows: 1 });
      const ended = await other.get(id);
      await store.finish(id, 'a', { rows: 2 });
      await expect(store.fail(id, 'a', { code: 'INTERNAL', message: 'no' })).rejects.toMatchObject({
        code: 'JOB_LEASE_LOST',
      });
      expect(ended).toMatchObject({ status: 'SUCCEEDED', result: { rows: 1 } });
      expect(await other.get(id)).toEqual(ended);
    });

    test('of a job that failed has its code and message', async () => {
      const { id, kind } = await leased();
      await store.fail(id, 'a', { code: 'VIEW_UNKNOWN', message: 'no\u0000view' });
      await store.fail(id, 'a', { code: 'INTERNAL', message: 'again' });
      const job = await other.get(id);
      expect(job).toMatchObject({ status: 'FAILED', error: { code: 'VIEW_UNKNOWN', message: 'no\u0000view' } });
      expect(job?.finishedAt).toBeInstanceOf(Date);
      await platform.expire(id);
      expect(await other.lease([kind], 'b', LEASE)).toBeNull();
    });
  });

  describe('a cancel', () => {
    test('ends a queued job at once, and it is never leased', async () => {
      const kind = freshKind();
      const { id } = await store.submit({ kind, request: null });
      const job = await other.cancel(id);
      expect(job).toMatchObject({ id, status: 'CANCELLED' });
      expect(job.finishedAt).toBeInstanceOf(Date);
      expect(await store.lease([kind], 'a', LEASE)).toBeNull();
      expect(await store.cancel(id)).toEqual(job);
    });

    test('of a running job is told to its owner, whose release ends it', async () => {
      const { id } = await leased();
      expect(await other.cancel(id)).toMatchObject({ status: 'RUNNING', finishedAt: null });
      expect(await store.heartbeat(id, 'a', LEASE, none, 'here')).toEqual({ cancelled: true });
      await store.release(id, 'a');
      expect(await other.get(id)).toMatchObject({ status: 'CANCELLED', checkpoint: 'here' });
    });

    test('comes too late for an owner who has done the work, and for a job that has ended', async () => {
      const { id } = await leased();
      await other.cancel(id);
      await store.finish(id, 'a', 'done');
      expect(await other.cancel(id)).toMatchObject({ status: 'SUCCEEDED', result: 'done' });
    });

    test('of a job whose owner died ends it, before or after its lease ran out', async () => {
      const [before, after] = [await leased(), await leased()];
      await other.cancel(before.id);
      await platform.expire(before.id);
      expect(await other.lease([before.kind], 'b', LEASE)).toBeNull();
      expect(await other.get(before.id)).toMatchObject({ status: 'CANCELLED', error: null });
      await platform.expire(after.id);
      expect(await other.cancel(after.id)).toMatchObject({ status: 'CANCELLED' });
      await expect(store.finish(after.id, 'a', 1)).rejects.toMatchObject({ code: 'JOB_LEASE_LOST' });
    });
  });

  describe('a release', () => {
    test('puts the job back at its old place in the queue, and does not count', async () => {
      const { id, kind } = await leased();
      await store.submit({ kind, request: 'younger' });
      for (let round = 0; round < 2 * MAX_ATTEMPTS; round += 1) {
        await store.release(id, 'a');
        expect(await other.get(id)).toMatchObject({ status: 'QUEUED', attempts: 0 });
        expect(await other.lease([kind], 'a', LEASE)).toMatchObject({ id, attempts: 1 });
      }
    });
  });

  describe('the list', () => {
    test('is of the newest first, by kind and status, no longer than asked for', async () => {
      const kind = freshKind();
      const ids: string[] = [];
      for (const request of [1, 2, 3]) ids.unshift((await store.submit({ kind, request })).id);
      await store.lease([kind], 'a', LEASE);
      const idsOf = (jobs: readonly Job[]) => jobs.map(({ id }) => id);
      expect(idsOf(await other.list({ kind, limit: 10 }))).toEqual(ids);
      expect(idsOf(await other.list({ kind, limit: 2 }))).toEqual(ids.slice(0, 2));
      expect(idsOf(await other.list({ kind, status: 'RUNNING', limit: 10 }))).toEqual(ids.slice(2));
      expect(idsOf(await other.list({ kind, status: 'FAILED', limit: 10 }))).toEqual([]);
      const { id } = await store.submit({ kind, request: 4, key: 'k' });
      expect(idsOf(await other.list({ kind, key: 'k', limit: 10 }))).toEqual([id]);
      expect(idsOf(await other.list({ kind, key: 'other', limit: 10 }))).toEqual([]);
      expect((await other.list({ limit: 1000 })).length).toBeGreaterThanOrEqual(3);
    });
  });

  test('runners of two processes share the jobs, each is run once, and all of them end', async () => {
    const kind = freshKind();
    for (let request = 0; request < 25; request += 1) await store.submit({ kind, request });
    const ran: Json[] = [];
    const runners = [store, other].map((jobs, index) => {
      const handlers = { [kind]: async ({ request }: Job) => ran.push(request) };
      return new JobRunner({ jobs, owner: `process ${index}`, handlers, concurrency: 3, pollMs: 20 });
    });
    for (const runner of runners) runner.start();
    await eventually(async () => expect(await store.list({ kind, status: 'SUCCEEDED', limit: 100 })).toHaveLength(25));
    await Promise.all(runners.map((runner) => runner.stop()));
    expect(ran.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 25 }, (_one, index) => index));
  });
});
