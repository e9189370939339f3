/** A store that is cut off or silent: what can be answered is answered, quickly and rightly; nothing is lost meanwhile. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../harness/eventually.js';
import { createFaultProxy, type FaultProxy } from '../harness/fault-proxy.js';
import { scaled } from '../harness/time-factor.js';
import { transactions, user, userStats } from '../unit/fakes/example-definitions.js';
import { apply, ask, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

interface Users {
  users: { id: string; stats: { amount: number | null; status: string } }[];
}

let platform: Platform;
let fstore: FStoreProcess;
let redis: FaultProxy;
let postgres: FaultProxy;
const time = new Date(Date.now() - 60_000).toISOString();
const event = (id: string, amount: number) => ({ user_id: id, card_id: 1, amount, country: 'NL', event_time: time });
const read = async (...ids: string[]) => {
  const start = performance.now();
  const { users } = await ask<Users>(
    fstore.url,
    'query ($ids: [ID!]!) { users(ids: $ids) { id stats { amount status } } }',
    { ids },
  );
  // Never a hang: a timeout of the store and some room for a slow machine.
  expect(performance.now() - start).toBeLessThan(scaled(8_000));
  return users.map(({ stats }) => [stats.status, stats.amount]);
};

async function proxyOf(url: string): Promise<{ proxy: FaultProxy; url: string }> {
  const target = new URL(url);
  const proxy = await createFaultProxy({ targetHost: target.hostname, targetPort: Number(target.port) });
  target.port = `${proxy.port}`;
  return { proxy, url: target.href };
}

beforeAll(async () => {
  platform = await createPlatform('servers');
  const [a, b] = await Promise.all([
    proxyOf(platform.environment.FSTORE_REDIS_URL ?? ''),
    proxyOf(platform.environment.FSTORE_POSTGRES_URL ?? ''),
  ]);
  [redis, postgres] = [a.proxy, b.proxy];
  fstore = await platform.start({ environment: { FSTORE_REDIS_URL: a.url, FSTORE_POSTGRES_URL: b.url } });
  await apply(fstore.url, [user, transactions, userStats]);
  await push(fstore.url, 'transactions', [event('u1', 1), event('u2', 2)]);
  await eventually(async () =>
    expect(await read('u1', 'u2')).toEqual([
      ['PRESENT', 1],
      ['PRESENT', 2],
    ]),
  );
});
afterAll(async () => {
  await redis?.heal();
  await postgres?.heal();
  await platform.drop();
  await redis?.close();
  await postgres?.close();
});

describe('without Redis', () => {
  test.each(['cut', 'halfOpen'] as const)(
    '(%s) PostgreSQL answers, and Redis is used again when it is back',
    async (fault) => {
      await redis[fault]();
      expect(await read('u1', 'u2', 'nobody')).toEqual([
        ['PRESENT', 1],
        ['PRESENT', 2],
        ['NOT_FOUND', null],
      ]);
      const ready = await fetch(`${fstore.url}/ready`);
      expect([ready.status, ((await ready.json()) as { stores: { offline: string } }).stores.offline]).toEqual([
        503,
        'ok',
      ]);
      await redis.heal();
      await eventually(async () => expect((await fetch(`${fstore.url}/ready`)).status).toBe(200));
      expect(await read('u1')).toEqual([['PRESENT', 1]]);
    },
  );

  test('events go on being accepted, and reach the online store when it is back', async () => {
    await redis.cut();
    await push(fstore.url, 'transactions', [event('u3', 3)]);
    await eventually(async () => expect(await read('u3')).toEqual([['PRESENT', 3]]));
    await redis.heal();
    await eventually(async () => expect((await fetch(`${fstore.url}/ready`)).status).toBe(200));
    await push(fstore.url, 'transactions', [event('u3', 4)]);
    await eventually(async () => expect(await read('u3')).toEqual([['PRESENT', 4]]));
  });
});

describe('without PostgreSQL', () => {
  test.each(['cut', 'halfOpen'] as const)(
    '(%s) hits answer and misses are UNAVAILABLE, never NOT_FOUND',
    async (fault) => {
      await eventually(async () =>
        expect(await read('u1', 'u2')).toEqual([
          ['PRESENT', 1],
          ['PRESENT', 2],
        ]),
      );
      await postgres[fault]();
      expect(await read('u1', `unknown_${fault}`, 'u2')).toEqual([
        ['PRESENT', 1],
        ['UNAVAILABLE', null],
        ['PRESENT', 2],
      ]);
      await postgres.heal();
      await eventually(async () => expect(await read(`unknown_${fault}`)).toEqual([['NOT_FOUND', null]]));
    },
  );

  test('events that arrive meanwhile are kept and taken in when it is back', async () => {
    await postgres.cut();
    await push(fstore.url, 'transactions', [event('u4', 4)]);
    await postgres.heal();
    await eventually(async () => expect(await read('u4')).toEqual([['PRESENT', 4]]), { timeoutMs: 40_000 });
  });
});
