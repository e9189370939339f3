/** Aggregation views from events to answers, on fakes and a clock that is set by hand. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { type MemoryFStore, startMemoryFStore } from './fakes/memory-fstore.js';
import { seededRandom } from './fakes/seeded-random.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2026, 2, 29, 0, 2);

const definitions = [
  { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
  {
    kind: 'source',
    name: 'transactions',
    schema: { user_id: 'STRING', amount: 'FLOAT64', at: 'TIMESTAMP' },
    timestamp: 'at',
    stream: {},
  },
  {
    kind: 'featureView',
    name: 'user_spending',
    entity: 'user',
    source: 'transactions',
    aggregations: [
      { name: 'spend', function: 'sum', column: 'amount', windows: ['5m', '1h'] },
      { name: 'payments', function: 'count', windows: ['1h', '24h'] },
    ],
  },
];

let started: MemoryFStore | null = null;
afterEach(() => started?.close());

async function start(): Promise<MemoryFStore> {
  const fstore = await startMemoryFStore(START);
  started = fstore;
  await fstore.apply(definitions);
  return fstore;
}

interface Spending {
  spend5m: number | null;
  spend1h: number | null;
  payments1h: string | null;
  payments24h: string | null;
  status: string;
}

async function read(fstore: MemoryFStore, asOf?: number): Promise<Spending> {
  const argument = asOf === undefined ? '' : `(asOf: "${new Date(asOf).toISOString()}")`;
  const query = `{ user(id: "a") { spending${argument} { spend5m spend1h payments1h payments24h status } } }`;
  const { data, errors } = await fstore.run(query);
  expect(errors).toBeUndefined();
  return (data as unknown as { user: { spending: Spending } }).user.spending;
}

describe('an aggregation view', () => {
  test('knows nothing of an entity without events, and shows windows that are empty as such', async () => {
    const fstore = await start();
    expect(await read(fstore)).toEqual({
      spend5m: null,
      spend1h: null,
      payments1h: null,
      payments24h: null,
      status: 'NOT_FOUND',
    });
    await fstore.push([{ user_id: 'a', amount: 2.5, at: START - 2 * HOUR }]);
    expect(await read(fstore)).toEqual({
      spend5m: null,
      spend1h: null,
      payments1h: '0',
      payments24h: '1',
      status: 'PRESENT',
    });
  });

  test('decays while no event comes, from the tiles of the online store alone', async () => {
    const fstore = await start();
    await fstore.push([{ user_id: 'a', amount: 2.5, at: START }]);
    expect((await read(fstore)).spend5m).toBe(2.5);
    const { tilesAt, valuesAt } = { ...fstore.offline.calls };
    // The window of 5 minutes covers from 00:00 to before 00:10, that of an hour to before 01:05.
    fstore.clock.now = Date.UTC(2026, 2, 29, 0, 10) - 1;
    expect((await read(fstore)).spend5m).toBe(2.5);
    fstore.clock.now += 1;
    expect(await read(fstore)).toMatchObject({ spend5m: null, spend1h: 2.5, payments1h: '1' });
    fstore.clock.now = Date.UTC(2026, 2, 29, 1, 5);
    expect(await read(fstore)).toMatchObject({ spend1h: null, payments1h: '0', payments24h: '1', status: 'PRESENT' });
    expect(fstore.offline.calls).toMatchObject({ tilesAt, valuesAt });
  });

  test('that the online store has lost comes from history, and is kept again', async () => {
    const fstore = await start();
    await fstore.push([{ user_id: 'a', amount: 2.5, at: START }]);
    fstore.online.entries.clear();
    expect((await read(fstore)).spend1h).toBe(2.5);
    await fstore.services.query.settle();
    const { tilesAt } = fstore.offline.calls;
    expect((await read(fstore)).spend1h).toBe(2.5);
    fstore.clock.now += 20 * MINUTE;
    expect((await read(fstore)).spend5m).toBeNull();
    expect(fstore.offline.calls.tilesAt).toBe(tilesAt);
  });

  test('takes a late event into its window, and holds a future one back until its time', async () => {
    const fstore = await start();
    await fstore.push([{ user_id: 'a', amount: 1, at: START }]);
    await fstore.push([{ user_id: 'a', amount: 10, at: START - 50 * MINUTE }]);
    expect(await read(fstore)).toMatchObject({ spend5m: 1, spend1h: 11, payments1h: '2' });
    expect(await read(fstore, START - 1)).toMatchObject({ spend5m: null, spend1h: 10, payments1h: '1' });
  });

  test(`shows online what asOf says of the same instant (seed ${seed})`, async () => {
    const fstore = await start();
    const random = seededRandom(seed);
    for (let step = 0; step < 60; step += 1) {
      fstore.clock.now += random.below(40) * MINUTE + random.below(1_000);
      if (random.below(3)) {
        const late = random.below(3) ? 0 : random.below(2 * HOUR);
        await fstore.push([{ user_id: 'a', amount: random.below(64) / 8, at: fstore.clock.now - late }]);
      }
      const online = await read(fstore);
      expect(online).toEqual(await read(fstore, fstore.clock.now));
    }
  });
});
