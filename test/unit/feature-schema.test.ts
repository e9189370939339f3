import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { composeServices } from '@theguild/federation-composition';
import { buildSchema, type ExecutionResult, parse, printSchema, subscribe } from 'graphql';
import { subscribeLive } from '../../src/schema/live-subscription.js';
import { eventually } from '../harness/eventually.js';
import { all, fraud, purchaseStats, userStats } from './fakes/example-definitions.js';
import { type MemoryFStore, startMemoryFStore } from './fakes/memory-fstore.js';

let store: MemoryFStore;
const NOW = Date.UTC(2026, 0, 31, 12);
const at = (secondsAgo: number): string => new Date(NOW - secondsAgo * 1000).toISOString();
const event = (user: string, card: string, amount: number, secondsAgo: number) => ({
  user_id: user,
  card_id: card,
  amount,
  country: 'NL',
  event_time: at(secondsAgo),
});

beforeEach(async () => {
  store = await startMemoryFStore(NOW);
  await store.apply(all);
});
afterEach(() => store.close());

const FIELDS = '{ amount lastCountry eventTime status version }';

describe('the generated schema', () => {
  test('answers features of one entity, with their status and event time', async () => {
    await store.push([event('u1', '7', 12.5, 60)]);
    const result = await store.run(`{ user(id: "u1") { id stats ${FIELDS} } }`);
    expect(result).toEqual({
      data: {
        user: {
          id: 'u1',
          stats: { amount: 12.5, lastCountry: 'NL', eventTime: at(60), status: 'PRESENT', version: 1 },
        },
      },
    });
  });

  test('answers an unknown entity with NOT_FOUND and nulls', async () => {
    const result = await store.run(`{ user(id: "nobody") { stats ${FIELDS} } }`);
    const stats = { amount: null, lastCountry: null, eventTime: null, status: 'NOT_FOUND', version: 1 };
    expect(result.data).toEqual({ user: { stats } });
  });

  test('reads one MGET for many entities and views, and on misses one statement a view and one write', async () => {
    await store.push([event('u1', '7', 1, 60), event('u2', '8', 2, 50)]);
    store.online.entries.clear();
    const before = { ...store.online.calls, ...store.offline.calls };
    const query = `{ users(ids: ["u1", "u2", "u3"]) { stats { amount } } fraudList(keys: [{userId: "u1", cardId: "7"}]) { amount purchaseAmount } }`;
    expect((await store.run(query)).data).toEqual({
      users: [{ stats: { amount: 1 } }, { stats: { amount: 2 } }, { stats: { amount: null } }],
      fraudList: [{ amount: 1, purchaseAmount: 1 }],
    });
    await store.services.query.settle();
    const calls = { ...store.online.calls, ...store.offline.calls };
    expect([calls.read - before.read, calls.valuesAt - before.valuesAt, calls.write - before.write]).toEqual([1, 2, 1]);
    await store.run(query);
    expect([store.online.calls.read - calls.read, store.offline.calls.valuesAt - calls.valuesAt]).toEqual([1, 0]);
  });

  test('answers composite keys without mixing them up', async () => {
    await store.push([event('1', '23', 1, 60), event('12', '3', 2, 50)]);
    const query =
      '{ purchases(keys: [{userId: "1", cardId: "23"}, {userId: "12", cardId: "3"}]) { userId cardId stats { amount } } }';
    expect((await store.run(query)).data).toEqual({
      purchases: [
        { userId: '1', cardId: '23', stats: { amount: 1 } },
        { userId: '12', cardId: '3', stats: { amount: 2 } },
      ],
    });
  });

  test('answers the value that held at an earlier instant, and refuses a later one', async () => {
    await store.push([event('u1', '7', 1, 600), event('u1', '7', 2, 60)]);
    const query = 'query ($asOf: DateTime) { user(id: "u1") { stats(asOf: $asOf) { amount status } } }';
    const asOf = async (secondsAgo: number) => await store.run(query, { asOf: at(secondsAgo) });
    expect((await asOf(300)).data).toEqual({ user: { stats: { amount: 1, status: 'PRESENT' } } });
    expect((await asOf(700)).data).toEqual({ user: { stats: { amount: null, status: 'NOT_FOUND' } } });
    expect((await asOf(-60)).errors?.[0]?.extensions).toMatchObject({ code: 'BAD_REQUEST', field: 'asOf' });
  });

  test('shows a value as old as its TTL, and one a millisecond older as OUTSIDE_MAX_AGE', async () => {
    const day = 86_400_000;
    await store.push([event('u1', '7', 1, 0)]);
    store.clock.now = NOW + 30 * day;
    const query = '{ user(id: "u1") { stats { amount status eventTime } } }';
    expect((await store.run(query)).data).toEqual({
      user: { stats: { amount: 1, status: 'PRESENT', eventTime: at(0) } },
    });
    store.clock.now += 1;
    expect((await store.run(query)).data).toEqual({
      user: { stats: { amount: null, status: 'OUTSIDE_MAX_AGE', eventTime: at(0) } },
    });
  });

  test('answers a service with flat features and the reason for each', async () => {
    await store.push([{ ...event('u1', '7', 5, 60), country: null }]);
    const query =
      '{ fraud(userId: "u1", cardId: "007") { userId cardId amount lastCountry purchaseAmount serviceVersion statuses { feature status } } }';
    expect((await store.run(query)).data).toEqual({
      fraud: {
        userId: 'u1',
        cardId: '7',
        amount: 5,
        lastCountry: null,
        purchaseAmount: 5,
        serviceVersion: 1,
        statuses: [
          { feature: 'amount', status: 'PRESENT' },
          { feature: 'lastCountry', status: 'NULL_VALUE' },
          { feature: 'purchaseAmount', status: 'PRESENT' },
        ],
      },
    });
  });

  test('answers representations in their order, each bad one null with its own error', async () => {
    await store.push([event('u1', '7', 5, 60)]);
    const query =
      'query ($r: [_Any!]!) { _entities(representations: $r) { ... on User { id stats { amount } } ... on Purchase { cardId } } }';
    const result = await store.run(query, {
      r: [
        { __typename: 'User', id: 'u1' },
        { __typename: 'User' },
        { __typename: 'Nobody', id: '1' },
        { __typename: 'Purchase', userId: 'u1', cardId: '7' },
      ],
    });
    expect(result.data).toEqual({ _entities: [{ id: 'u1', stats: { amount: 5 } }, null, null, { cardId: '7' }] });
    expect(result.errors?.map((error) => error.extensions.code)).toEqual(['KEY_INVALID', 'BAD_REQUEST']);
    expect(result.errors?.map((error) => error.extensions.field)).toEqual([
      'representations.1',
      'representations.2.__typename',
    ]);
  });

  test('shows the same schema by introspection and by _service, and composes', async () => {
    const sdl = (await store.run('{ _service { sdl } }')).data?._service as { sdl: string };
    const accounts =
      'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"]) type Query { me: User } type User @key(fields: "id") { id: ID! name: String }';
    const composed = composeServices([
      { name: 'fstore', typeDefs: parse(sdl.sdl), url: 'http://fstore' },
      { name: 'accounts', typeDefs: parse(accounts), url: 'http://accounts' },
    ]);
    expect(composed.errors ?? []).toEqual([]);
    const plain = buildSchema(
      `${sdl.sdl.replace(/^extend schema.*$/m, '')}\ndirective @key(fields: String!) on OBJECT`,
    );
    const types = (text: string): string[] =>
      [...text.matchAll(/^(?:type|enum|input|scalar) (\w+)/gm)].map((match) => match[1]!).sort();
    const federation = ['_Any', '_Entity', '_Service'];
    expect(types(printSchema(plain))).toEqual(
      types(printSchema(store.live.current.schema)).filter((name) => !federation.includes(name)),
    );
    expect(sdl.sdl).toContain('type User @key(fields: "id") {');
    expect(sdl.sdl).toContain('type Purchase @key(fields: "userId cardId") {');
  });

  test('serves an older version under its own name after a change of meaning', async () => {
    await store.push([event('u1', '7', 5, 60)]);
    await store.apply([{ ...userStats, features: ['amount', 'country'] }], { allowBreaking: true });
    await store.push([event('u1', '7', 6, 30)]);
    const result = await store.run(
      '{ user(id: "u1") { stats { amount country version } statsV1 { amount lastCountry version } } }',
    );
    expect(result.data).toEqual({
      user: { stats: { amount: 6, country: 'NL', version: 2 }, statsV1: { amount: 6, lastCountry: 'NL', version: 1 } },
    });
  });
});

describe('an apply', () => {
  test('is refused when it breaks the schema, unless that is allowed', async () => {
    const change = [{ ...userStats, features: ['amount'] }];
    await expect(store.apply(change)).rejects.toMatchObject({
      code: 'BREAKING_CHANGE',
      location: { field: 'allowBreaking' },
    });
    expect(store.live.current.snapshot.revision).toBe(1);
    await expect(store.apply(change, { allowBreaking: true })).resolves.toBe(2);
  });

  test('of the same definitions changes nothing and makes no revision', async () => {
    await expect(store.apply(all)).resolves.toBe(1);
  });

  test('shares the types of views that did not change, and forgets those that went', async () => {
    const before = store.live.current;
    await store.apply([{ ...userStats, ttl: '1d' }]);
    const after = store.live.current;
    expect(after.schema.getType('PurchaseStats')).toBe(before.schema.getType('PurchaseStats'));
    expect(after.schema.getType('UserStats')).not.toBe(before.schema.getType('UserStats'));
    expect(after.viewTypes.size).toBe(2);
  });
});

describe('a subscription', () => {
  const open = async (source: string) => {
    const { schema } = store.live.current;
    const document = parse(source);
    const stream = await subscribeLive({ schema, document, contextValue: store.context() }, store.live);
    if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream));
    return stream;
  };
  const next = async (stream: AsyncIterator<ExecutionResult>): Promise<ExecutionResult> =>
    (await stream.next()).value as ExecutionResult;

  test('by view delivers the entity with the new value, for the ids asked for only', async () => {
    const stream = await open('subscription { userStatsUpdated(ids: ["u2"]) { id stats { amount } } }');
    const first = next(stream);
    await store.push([event('u1', '7', 1, 60), event('u2', '7', 2, 50)]);
    expect(await first).toEqual({ data: { userStatsUpdated: { id: 'u2', stats: { amount: 2 } } } });
    const second = next(stream);
    await store.push([event('u2', '7', 3, 40)]);
    expect(await second).toEqual({ data: { userStatsUpdated: { id: 'u2', stats: { amount: 3 } } } });
    await stream.return();
    expect(store.services.updates.size).toBe(0);
  });

  test('keeps nothing of what it has delivered', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const stream = await open('subscription { userStatsUpdated(ids: ["u1"]) { id stats { amount } } }');
    const delivered: WeakRef<ExecutionResult>[] = [];
    for (let amount = 1; amount <= 10; amount += 1) {
      const result = next(stream);
      await store.push([event('u1', '7', amount, 60 - amount)]);
      delivered.push(new WeakRef(await result));
    }
    await eventually(() => {
      collectGarbage();
      // The last one may still be in a variable of somebody.
      expect(delivered.filter((one) => one.deref()).length).toBeLessThanOrEqual(2);
    });
    await stream.return();
  });

  test('by service delivers the vector of the keys whose feature changed', async () => {
    const stream = await open(
      'subscription { fraudUpdated(keys: [{userId: "u1", cardId: "7"}, {userId: "u2", cardId: "8"}]) { userId amount purchaseAmount } }',
    );
    const first = next(stream);
    await store.push([event('u2', '9', 4, 60)]);
    expect(await first).toEqual({ data: { fraudUpdated: { userId: 'u2', amount: 4, purchaseAmount: null } } });
    await stream.return();
  });

  test('gives a slow reader the latest value of each entity', async () => {
    const stream = await open('subscription { userStatsUpdated { id stats { amount } } }');
    for (const amount of [1, 2, 3])
      await store.push([event('u1', '7', amount, 60 - amount), event('u2', '7', amount * 10, 60 - amount)]);
    const seen = [await next(stream), await next(stream)].map((result) => result.data?.userStatsUpdated);
    expect(seen).toEqual([
      { id: 'u1', stats: { amount: 3 } },
      { id: 'u2', stats: { amount: 30 } },
    ]);
    await stream.return();
  });

  test('ends with SUBSCRIPTION_SCHEMA_RELOAD when a field that it selects goes or changes its meaning', async () => {
    const stream = await open('subscription { userStatsUpdated { id stats { lastCountry } } }');
    const first = next(stream);
    await store.apply([{ ...userStats, features: ['amount'] }], { allowBreaking: true });
    expect((await first).errors?.[0]?.extensions).toMatchObject({ code: 'SUBSCRIPTION_SCHEMA_RELOAD' });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(store.services.updates.size).toBe(0);
  });

  test('goes on when something else changes', async () => {
    const stream = await open('subscription { userStatsUpdated { id stats { amount } } }');
    const first = next(stream);
    await store.apply([{ ...purchaseStats, features: [{ name: 'amount', column: 'amount' }, 'country'] }, fraud]);
    await store.push([event('u1', '7', 9, 10)]);
    expect((await first).data).toEqual({ userStatsUpdated: { id: 'u1', stats: { amount: 9 } } });
    await stream.return();
  });

  test('to keys that cannot be read is refused at once', async () => {
    const { schema } = store.live.current;
    const document = parse('subscription { fraudUpdated(keys: [{userId: "u1", cardId: "x"}]) { userId } }');
    const result = (await subscribe({ schema, document, contextValue: store.context() })) as ExecutionResult;
    expect(result.errors?.[0]?.extensions).toMatchObject({ code: 'KEY_INVALID', field: 'keys.0.cardId' });
  });
});
