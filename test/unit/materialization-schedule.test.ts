import { describe, expect, test } from '@jest/globals';
import { isCron } from '../../src/definition/cron.js';
import { lastDue, MaterializationSchedule } from '../../src/materialization/materialization-schedule.js';
import { MATERIALIZE_JOB, submitMaterialization } from '../../src/materialization/materialize-job.js';
import type { Snapshot } from '../../src/registry/snapshot.js';
import { MemoryJobStore } from './fakes/memory-job-store.js';

const START = Date.UTC(2026, 0, 31, 12, 30);

function snapshotOf(schedule: string | undefined): Snapshot {
  const definition = { kind: 'source', name: 'payments', batch: { csv: 'a.csv', ...(schedule ? { schedule } : {}) } };
  const record = { name: 'payments', definition, meaning: { batch: { format: 'csv', path: 'a.csv' } } };
  return { sources: new Map([['payments', record]]) } as unknown as Snapshot;
}

describe('a schedule', () => {
  test('submits one job for each time that comes, whichever worker looks', async () => {
    const clock = { now: START };
    const jobs = new MemoryJobStore(() => clock.now);
    const options = { jobs, snapshot: () => snapshotOf('0 * * * *'), now: () => clock.now };
    const [one, other] = [new MaterializationSchedule(options), new MaterializationSchedule(options)];
    expect(await one.look()).toEqual([]);
    clock.now = START + 30 * 60_000;
    await Promise.all([one.look(), other.look(), one.look()]);
    expect(await jobs.list({ kind: MATERIALIZE_JOB, limit: 10 })).toHaveLength(1);
    const job = (await jobs.lease([MATERIALIZE_JOB], 'w', 1_000))!;
    expect(job.request).toEqual({ source: 'payments', due: '2026-01-31T13:00:00.000Z' });
    await jobs.finish(job.id, job.owner, { watermark: null });
    expect([await one.look(), await other.look()]).toEqual([[], []]);
    clock.now += 3_600_000;
    expect(await other.look()).toEqual(['payments']);
    expect(await jobs.list({ kind: MATERIALIZE_JOB, limit: 10 })).toHaveLength(2);
  });

  test('submits one job for a time also if it fails, and the next at the next time', async () => {
    const clock = { now: START };
    const jobs = new MemoryJobStore(() => clock.now);
    const options = { jobs, snapshot: () => snapshotOf('0 * * * *'), now: () => clock.now };
    const [one, other] = [new MaterializationSchedule(options), new MaterializationSchedule(options)];
    clock.now = START + 30 * 60_000;
    await one.look();
    const job = (await jobs.lease([MATERIALIZE_JOB], 'w', 1_000))!;
    await jobs.fail(job.id, job.owner, { code: 'BAD_REQUEST', message: 'there is no file a.csv' });
    for (let look = 0; look < 3; look += 1) expect([await one.look(), await other.look()]).toEqual([[], []]);
    clock.now += 3_600_000;
    expect(await other.look()).toEqual(['payments']);
    expect(await jobs.list({ kind: MATERIALIZE_JOB, limit: 10 })).toHaveLength(2);
  });

  test('submits one job for a time over two workers that look at once, though it ends before the other submits', async () => {
    const clock = { now: START };
    const jobs = new MemoryJobStore(() => clock.now);
    const snapshot = () => snapshotOf('0 * * * *');
    const one = new MaterializationSchedule({ jobs, snapshot, now: () => clock.now });
    // Has looked at the list before the other submits, and submits after that job has ended.
    const late = Object.assign(Object.create(jobs) as MemoryJobStore, {
      list: async (filter: Parameters<MemoryJobStore['list']>[0]) => {
        const found = await jobs.list(filter);
        await one.look();
        const job = await jobs.lease([MATERIALIZE_JOB], 'w', 1_000);
        if (job) await jobs.finish(job.id, job.owner, { watermark: null });
        return found;
      },
      submit: jobs.submit.bind(jobs),
    });
    const other = new MaterializationSchedule({ jobs: late, snapshot, now: () => clock.now });
    clock.now = START + 30 * 60_000;
    await other.look();
    expect(await jobs.list({ kind: MATERIALIZE_JOB, limit: 10 })).toMatchObject([{ status: 'SUCCEEDED' }]);
  });

  test('waits for a run that a person has begun, and does not count it as its own', async () => {
    const clock = { now: START };
    const jobs = new MemoryJobStore(() => clock.now);
    const snapshot = () => snapshotOf('0 * * * *');
    const schedule = new MaterializationSchedule({ jobs, snapshot, now: () => clock.now });
    const runManually = async () => {
      await submitMaterialization(jobs, snapshot(), 'payments');
      return (await jobs.lease([MATERIALIZE_JOB], 'w', 1_000))!;
    };
    const manual = await runManually();
    clock.now = START + 30 * 60_000;
    expect(await schedule.look()).toEqual([]);
    await jobs.finish(manual.id, manual.owner, { watermark: null });
    expect(await schedule.look()).toEqual(['payments']);
    const due = (await jobs.lease([MATERIALIZE_JOB], 'w', 1_000))!;
    await jobs.finish(due.id, due.owner, { watermark: null });
    const later = await runManually();
    await jobs.finish(later.id, later.owner, { watermark: null });
    const restarted = new MaterializationSchedule({ jobs, snapshot, now: () => clock.now });
    expect([await schedule.look(), await restarted.look()]).toEqual([[], []]);
    expect(await jobs.list({ kind: MATERIALIZE_JOB, limit: 10 })).toHaveLength(3);
  });

  test('makes up for the last time that came while no worker ran, once', async () => {
    const clock = { now: START };
    const jobs = new MemoryJobStore(() => clock.now);
    const options = { jobs, snapshot: () => snapshotOf('0 * * * *'), now: () => clock.now };
    const before = new MaterializationSchedule(options);
    clock.now += 3_600_000;
    await before.look();
    const job = (await jobs.lease([MATERIALIZE_JOB], 'w', 1_000))!;
    await jobs.finish(job.id, job.owner, { watermark: null });
    clock.now += 5 * 3_600_000;
    const after = new MaterializationSchedule(options);
    expect([await after.look(), await after.look()]).toEqual([['payments'], []]);
    expect((await jobs.list({ kind: MATERIALIZE_JOB, limit: 1 }))[0]?.request).toMatchObject({
      due: '2026-01-31T18:00:00.000Z',
    });
  });

  test('submits nothing for a source without one', async () => {
    const jobs = new MemoryJobStore(() => START);
    const schedule = new MaterializationSchedule({ jobs, snapshot: () => snapshotOf(undefined), now: () => START });
    expect(await schedule.look()).toEqual([]);
  });

  test('is in UTC, through changes of clocks and ends of years', () => {
    const cases = [
      ['0 3 * * *', '2026-03-29T03:00:00Z', '2026-03-29T03:00:00.000Z'],
      ['0 3 * * *', '2026-03-29T02:59:59Z', '2026-03-28T03:00:00.000Z'],
      ['*/15 * * * *', '2026-01-01T00:07:00Z', '2026-01-01T00:00:00.000Z'],
      ['0 0 1 1 *', '2026-06-01T00:00:00Z', '2026-01-01T00:00:00.000Z'],
    ] as const;
    for (const [cron, now, due] of cases) expect(lastDue(cron, Date.parse(now))?.toISOString()).toBe(due);
  });

  test('a definition takes the schedules that can be computed, and refuses those that throw or are never due', () => {
    for (const good of ['* * * * *', '0 3 * * 1-5', '*/15 0,12 1 1 7', '0 0 29 2 *', '0 0 * * MON']) {
      expect([good, isCron(good)]).toEqual([good, true]);
      expect(lastDue(good, START)).not.toBeNull();
    }
    const unusable = ['*/99 * * * *', '5/2 * * * *', '0 0 31 2 *', '@daily', '61 * * * *'];
    for (const bad of ['', '0 3 * *', '60 * * * *', '*/0 * * * *', '5-1 * * * *', '* * * * * *', ...unusable]) {
      expect([bad, isCron(bad)]).toEqual([bad, false]);
    }
  });

  test('a source whose schedule cannot be computed does not hold up the others', async () => {
    const clock = { now: START };
    const jobs = new MemoryJobStore(() => clock.now);
    const [good] = snapshotOf('0 * * * *').sources.values();
    const [bad] = snapshotOf('*/99 * * * *').sources.values();
    const sources = new Map([
      ['broken', { ...bad, name: 'broken' }],
      ['payments', good],
    ]);
    const snapshot = () => ({ sources }) as unknown as Snapshot;
    const logged: string[] = [];
    const log = (message: string): number => logged.push(message);
    const schedule = new MaterializationSchedule({ jobs, snapshot, now: () => clock.now, log });
    clock.now = START + 30 * 60_000;
    expect(await schedule.look()).toEqual(['payments']);
    expect(logged[0]).toMatch(/could not be submitted/);
  });
});
