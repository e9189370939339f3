/** The whole road, through the doors that users use, on every platform. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { eventually } from '../harness/eventually.js';
import { all, userStats } from '../unit/fakes/example-definitions.js';
import { apply, ask, post, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform, type PlatformName } from './platform.js';

interface Stats {
  user: { stats: { amount: number | null; status: string; eventTime: string | null } };
}
const STATS = 'query ($id: ID!) { user(id: $id) { stats { amount status eventTime } } }';
const minutesAgo = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
const event = (user: string, amount: number, minutes: number) => ({
  user_id: user,
  card_id: '9007199254740993',
  amount,
  country: 'NL',
  event_time: minutesAgo(minutes),
});

describe.each<PlatformName>(['embedded', 'servers', 'cluster'])('on %s', (name) => {
  let platform: Platform;
  let fstore: FStoreProcess;
  const amountOf = async (id: string): Promise<number | null> =>
    (await ask<Stats>(fstore.url, STATS, { id })).user.stats.amount;
  const settled = (id: string, amount: number) => eventually(async () => expect(await amountOf(id)).toBe(amount));

  beforeAll(async () => {
    platform = await createPlatform(name);
    fstore = await platform.start();
    await apply(fstore.url, all);
  });
  afterAll(() => platform.drop());

  test('an event that is pushed becomes a typed answer', async () => {
    expect((await ask<Stats>(fstore.url, STATS, { id: 'a1' })).user.stats.status).toBe('NOT_FOUND');
    const pushed = event('a1', 12.5, 3);
    expect(await push(fstore.url, 'transactions', [pushed])).toBe(1);
    await settled('a1', 12.5);
    const service = await ask(
      fstore.url,
      '{ fraud(userId: "a1", cardId: "9007199254740993") { amount purchaseAmount lastCountry statuses { feature status eventTime } } }',
    );
    const eventTime = pushed.event_time;
    expect(service).toEqual({
      fraud: {
        amount: 12.5,
        purchaseAmount: 12.5,
        lastCountry: 'NL',
        statuses: ['amount', 'lastCountry', 'purchaseAmount'].map((feature) => ({
          feature,
          status: 'PRESENT',
          eventTime,
        })),
      },
    });
  });

  test('a late event enters history and leaves the newest value', async () => {
    await push(fstore.url, 'transactions', [event('b1', 2, 10)]);
    await settled('b1', 2);
    await push(fstore.url, 'transactions', [event('b1', 1, 20), event('b2', 7, 5)]);
    await settled('b2', 7);
    expect(await amountOf('b1')).toBe(2);
    const past = await ask<Stats>(
      fstore.url,
      'query ($asOf: DateTime!) { user(id: "b1") { stats(asOf: $asOf) { amount status eventTime } } }',
      { asOf: minutesAgo(15) },
    );
    expect(past.user.stats.amount).toBe(1);
  });

  test('REST takes events with integers beyond 2^53 and answers values', async () => {
    const body = `{"user_id":"c1","card_id":9007199254740995,"amount":3,"event_time":"${minutesAgo(1)}"}`;
    const response = await fetch(`${fstore.url}/api/v1/sources/transactions/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect([response.status, await response.json()]).toEqual([202, { accepted: 1 }]);
    const read = async (path: string) => (await (await fetch(`${fstore.url}/api/v1/views/${path}`)).json()) as unknown;
    await eventually(async () =>
      expect(await read('purchase_stats/values/c1/9007199254740995')).toMatchObject({
        key: { user_id: 'c1', card_id: '9007199254740995' },
        status: 'PRESENT',
        features: { amount: { value: 3, status: 'PRESENT' } },
      }),
    );
    expect(await read('purchase_stats/values/c1/9007199254740994')).toMatchObject({ status: 'NOT_FOUND' });
  });

  test('the official WebSocket client gets the update of the id that it asked for', async () => {
    const client = createWsClient({
      url: `${fstore.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      lazy: false,
    });
    const updates = client.iterate({
      query: 'subscription { userStatsUpdated(ids: ["d1"]) { id stats { amount lastCountry } } }',
    });
    const first = updates.next();
    await untilSubscribed(client);
    await push(fstore.url, 'transactions', [event('d0', 1, 2), event('d1', 4.5, 1)]);
    expect((await first).value).toEqual({
      data: { userStatsUpdated: { id: 'd1', stats: { amount: 4.5, lastCountry: 'NL' } } },
    });
    await updates.return?.();
    await client.dispose();
  });

  test('the official SSE client gets vectors of the keys that it asked for', async () => {
    const client = createSseClient({ url: `${fstore.url}/graphql/stream`, retryAttempts: 0 });
    const updates = client.iterate({
      query:
        'subscription { fraudUpdated(keys: [{userId: "e1", cardId: "9007199254740993"}]) { userId amount purchaseAmount } }',
    });
    const first = updates.next();
    // A subscription over SSE says nothing until its first event, so events are pushed until one arrives.
    let done = false;
    const pushing = (async () => {
      for (let round = 1; !done && round < 100; round += 1) {
        await push(fstore.url, 'transactions', [event('e1', round, 10 - round / 100)]);
        await Promise.race([first, new Promise((resolve) => setTimeout(resolve, 200))]);
      }
    })();
    const { data } = (await first).value as { data: { fraudUpdated: { userId: string; amount: number } } };
    done = true;
    await pushing;
    expect(data.fraudUpdated.userId).toBe('e1');
    expect(data.fraudUpdated.amount).toBeGreaterThanOrEqual(1);
    await updates.return?.();
    client.dispose();
  });

  test('an event that cannot be used is a dead letter with its reason, and can be replayed once it can be used', async () => {
    const refused = await post(
      fstore.url,
      'mutation ($e: [JSON!]!) { ingest(source: "transactions", events: $e) { accepted } }',
      {
        e: [event('f1', 1, 1), { ...event('f2', 2, 1), amount: 'much' }],
      },
    );
    expect(refused.errors?.[0]?.extensions).toMatchObject({
      code: 'EVENT_FIELD_TYPE',
      field: 'events.1.amount',
      status: 400,
    });
    await push(fstore.url, 'transactions', [event('f3', 3, 1)]);
    await settled('f3', 3);
    expect(await amountOf('f1')).toBeNull();
  });

  test('/ready names every store, and the catalog shows what was applied', async () => {
    const ready = await fetch(`${fstore.url}/ready`);
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { status: 'ok', stores: { online: 'ok', offline: 'ok', registry: 'ok', bus: 'ok' }, worker: 'ok' },
    ]);
    const catalog = await ask<{ featureViews: { name: string }[]; audit: { summary: string[] }[] }>(
      fstore.url,
      '{ featureViews { name version current features { name type graphqlField } } audit { revision actor summary } }',
    );
    expect(catalog.featureViews.map((view) => view.name).sort()).toEqual(['purchase_stats', 'user_stats']);
    expect(catalog.audit.at(-1)?.summary).toContain('CREATE featureView user_stats@1');
  });

  test('values survive kill -9 and a restart', async () => {
    await push(fstore.url, 'transactions', [event('g1', 99, 1)]);
    await settled('g1', 99);
    const before = await ask(
      fstore.url,
      '{ users(ids: ["a1", "b1", "g1", "nobody"]) { id stats { amount lastCountry eventTime status } } }',
    );
    fstore.process.kill('SIGKILL');
    await fstore.process.exited;
    fstore = await platform.start();
    const after = await ask(
      fstore.url,
      '{ users(ids: ["a1", "b1", "g1", "nobody"]) { id stats { amount lastCountry eventTime status } } }',
    );
    expect(after).toEqual(before);
  });

  test('a new version is served beside the old one, and both are written', async () => {
    await apply(fstore.url, [{ ...userStats, features: ['amount', 'country'] }], { allowBreaking: true });
    await push(fstore.url, 'transactions', [event('h1', 5, 1)]);
    await eventually(async () =>
      expect(
        await ask(
          fstore.url,
          '{ user(id: "h1") { stats { amount country version } statsV1 { lastCountry version } } }',
        ),
      ).toEqual({
        user: { stats: { amount: 5, country: 'NL', version: 2 }, statsV1: { lastCountry: 'NL', version: 1 } },
      }),
    );
  });

  test('a view that is declared later has the history that its source has had', async () => {
    const later = {
      kind: 'featureView',
      name: 'user_places',
      entity: 'user',
      source: 'transactions',
      features: ['country'],
    };
    await apply(fstore.url, [later]);
    await eventually(
      async () =>
        expect(await ask(fstore.url, '{ users(ids: ["a1", "g1"]) { places { country status } } }')).toEqual({
          users: [{ places: { country: 'NL', status: 'PRESENT' } }, { places: { country: 'NL', status: 'PRESENT' } }],
        }),
      { timeoutMs: 50_000 },
    );
  });

  test('SIGTERM ends it cleanly', async () => {
    expect(await fstore.process.stop()).toEqual({ code: 0, signal: null });
  });
});

/** Resolves when a subscription that was begun on the same connection before must have been set up. */
async function untilSubscribed(client: ReturnType<typeof createWsClient>): Promise<void> {
  for await (const result of client.iterate({ query: '{ project { revision } }' })) void result;
}
