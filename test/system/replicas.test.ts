/** Several replicas: what one applies all serve, without a wrong or dropped request; updates reach every one. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { eventually } from '../harness/eventually.js';
import { scaled } from '../harness/time-factor.js';
import { all, purchaseStats, userStats } from '../unit/fakes/example-definitions.js';
import { apply, ask, post, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

describe('replicas', () => {
  let platform: Platform;
  let a: FStoreProcess;
  let b: FStoreProcess;
  const time = new Date(Date.now() - 60_000).toISOString();

  beforeAll(async () => {
    platform = await createPlatform('servers');
    [a, b] = await Promise.all([
      platform.start({ arguments: ['serve', '--without-worker'] }),
      platform.start({ arguments: ['serve', '--without-worker'] }),
      platform.start({ arguments: ['worker'] }),
    ]);
    await apply(a.url, all);
    await push(a.url, 'transactions', [{ user_id: 'u1', card_id: 1, amount: 7.5, country: 'NL', event_time: time }]);
    await eventually(async () =>
      expect(await ask(b.url, '{ user(id: "u1") { stats { amount } } }')).toEqual({ user: { stats: { amount: 7.5 } } }),
    );
  });
  afterAll(() => platform.drop());

  test('answer a definition within 2 s of its apply at another, under 200 requests a second, none wrong', async () => {
    const expected = { user: { id: 'u1', stats: { amount: 7.5, lastCountry: 'NL' } } };
    const faults: unknown[] = [];
    let answered = 0;
    let running = true;
    const load = async (url: string): Promise<void> => {
      while (running) {
        const batch = Array.from({ length: 5 }, async () => {
          const { data, errors } = await post(url, '{ user(id: "u1") { id stats { amount lastCountry } } }');
          answered += 1;
          if (errors || JSON.stringify(data) !== JSON.stringify(expected)) faults.push({ data, errors });
        });
        // Five each 50 ms at each of two replicas: 200 a second.
        await Promise.all([...batch, new Promise((resolve) => setTimeout(resolve, 50))]);
      }
    };
    const loads = [load(a.url), load(b.url)];
    const delays: number[] = [];
    for (let round = 1; round <= 40; round += 1) {
      const name = `extra_${round}`;
      await apply(a.url, [{ kind: 'featureView', name, entity: 'user', source: 'transactions', features: ['amount'] }]);
      const applied = performance.now();
      await eventually(
        async () =>
          expect((await post(b.url, `{ user(id: "u1") { extra${round} { status } } }`)).errors).toBeUndefined(),
        {
          everyMs: 10,
        },
      );
      delays.push(performance.now() - applied);
    }
    // How soon the swaps end depends on the machine; what they were watched by must not.
    await eventually(async () => expect(answered).toBeGreaterThan(500));
    running = false;
    await Promise.all(loads);
    expect(faults).toEqual([]);
    expect(Math.max(...delays)).toBeLessThan(scaled(2_000));
  });

  test('each see every update', async () => {
    const open = (url: string) => {
      const client = createClient({
        url: `${url.replace('http', 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        lazy: false,
      });
      const updates = client.iterate<{ userStatsUpdated: { stats: { amount: number } } }>({
        query: 'subscription { userStatsUpdated(ids: ["s1"]) { stats { amount } } }',
      });
      return { client, updates, first: updates.next() };
    };
    const subscribers = [open(a.url), open(b.url), open(b.url)];
    for (const { client } of subscribers)
      for await (const one of client.iterate({ query: '{ project { name } }' })) void one;
    await push(b.url, 'transactions', [{ user_id: 's1', card_id: 1, amount: 1, event_time: time }]);
    for (const { first, updates, client } of subscribers) {
      expect((await first).value).toEqual({ data: { userStatsUpdated: { stats: { amount: 1 } } } });
      await updates.return?.();
      await client.dispose();
    }
  });

  test('end a subscription whose field was removed at another replica, and keep the others', async () => {
    const client = createClient({ url: `${b.url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket });
    const gone = client.iterate({ query: 'subscription { purchaseStatsUpdated { stats { amount } } }' });
    const kept = client.iterate({ query: 'subscription { userStatsUpdated(ids: ["k1"]) { stats { amount } } }' });
    const [goneNext, keptNext] = [gone.next(), kept.next()];
    for await (const one of client.iterate({ query: '{ project { name } }' })) void one;
    await apply(a.url, [{ ...purchaseStats, features: ['country'] }], { allowBreaking: true });
    expect((await goneNext).value).toMatchObject({ errors: [{ extensions: { code: 'SUBSCRIPTION_SCHEMA_RELOAD' } }] });
    expect(await gone.next()).toMatchObject({ done: true });
    await push(a.url, 'transactions', [{ user_id: 'k1', card_id: 1, amount: 2, event_time: time }]);
    expect((await keptNext).value).toEqual({ data: { userStatsUpdated: { stats: { amount: 2 } } } });
    await kept.return?.();
    await client.dispose();
  });

  test('let exactly one of two applies on the same revision win, and lose none of the winner', async () => {
    const descriptions = Array.from({ length: 8 }, (_, index) => ({ ...userStats, description: `by ${index}` }));
    const outcomes = await Promise.allSettled(
      descriptions.map((one, index) => apply(index % 2 ? a.url : b.url, [one])),
    );
    const won = outcomes.filter((one) => one.status === 'fulfilled').length;
    expect(won).toBeGreaterThanOrEqual(1);
    for (const one of outcomes) if (one.status === 'rejected') expect(`${one.reason}`).toContain('REVISION_CONFLICT');
    await eventually(async () => {
      const [left, right] = await Promise.all(
        [a, b].map(({ url }) => ask(url, '{ project { revision } featureView(name: "user_stats") { description } }')),
      );
      expect(left).toEqual(right);
    });
  });
});
