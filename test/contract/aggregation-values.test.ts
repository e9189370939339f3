/** Aggregation views in the offline store, against an oracle that knows no tiles. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { aggregationPlan, finishValues } from '../../src/aggregation/tile-set.js';
import { type EntityKey, entityKey } from '../../src/definition/entity-key.js';
import type { ScalarValue } from '../../src/definition/value-type.js';
import type { NewRow, OfflineStore } from '../../src/store/offline-store.js';
import { goldenAggregations } from '../unit/fakes/golden-aggregations.js';
import { type NaiveEvent, naiveValues } from '../unit/fakes/naive-aggregation.js';
import { everyAggregation, everyColumn, randomInstant, randomValue } from '../unit/fakes/random-history.js';
import { seededRandom } from '../unit/fakes/seeded-random.js';
import { type OfflinePlatform, offlinePlatforms } from './store/offline-platform.js';
import { batchOf, freshAggregationView, freshTopic } from './store/offline-samples.js';
import { expectSame } from './store/same-values.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const HISTORIES = Number(process.env.FSTORE_TEST_HISTORIES ?? 10_000);

interface History {
  readonly key: EntityKey;
  readonly base: number;
  readonly events: NaiveEvent[];
}

describe.each(offlinePlatforms)('aggregations on %s', (name, open) => {
  const count = name === 'PostgreSQL' ? HISTORIES : Math.ceil(HISTORIES / 20);
  let platform: OfflinePlatform;
  let store: OfflineStore;
  beforeAll(async () => {
    platform = await open();
    ({ store } = platform);
  });
  afterAll(() => platform?.close());

  test(`of ${count} random histories are those of the oracle: at any instant, strictly before it, and from tiles (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const keys = [
      { name: 'a', type: 'INT64' as const, column: 'a' },
      { name: 'b', type: 'INT64' as const, column: 'b' },
    ];
    const view = freshAggregationView(everyColumn, everyAggregation, keys);
    await store.prepare([view]);
    const { columns, aggregation } = view;
    const now = Date.UTC(2026, 5, 1, 12, 0, 0, 1);
    // (1, 23) and (12, 3) differ as columns only.
    const histories = Array.from({ length: count }, (_, index): History => {
      const parts = index % 2 ? [`${index}`, `${index}3`] : [`${index}${index + 1}`, '3'];
      return { key: entityKey(parts), base: randomInstant(random, now), events: [] };
    });
    const arrivals: { history: History; row: Omit<NewRow, 'offset'> }[] = [];
    for (const history of histories) {
      let last = history.base;
      for (let events = random.below(9); events > 0; events -= 1) {
        // Some at one time, some late, some in the future of the clock that will write them.
        last =
          random.below(4) === 0
            ? last
            : history.base + random.below(40) ** 3 * random.below(100_000) * (random.below(2) ? 1 : -1);
        const eventTime = Math.min(last, now);
        const values = columns.map(({ type }) => (random.below(5) === 0 ? null : randomValue(random, type)));
        arrivals.push({ history, row: { key: history.key, eventTime, values } });
      }
    }
    random.shuffle(arrivals);
    const topic = freshTopic();
    let offset = 0;
    while (offset < arrivals.length) {
      const size = 1 + random.below(2_000);
      const rows = arrivals.slice(offset, offset + size).map(({ history, row }, index): NewRow => {
        history.events.push({
          eventTime: row.eventTime,
          sequence: offset + index,
          values: Object.fromEntries(columns.map(({ name }, at) => [name, row.values[at] as ScalarValue | null])),
        });
        return { ...row, offset: BigInt(offset + index) };
      });
      const clock = random.below(3) === 0 ? rows[0]!.eventTime : now;
      const batch = batchOf(topic, [{ view, rows }], { now: clock });
      await store.commit(batch);
      if (random.below(5) === 0) await store.commit(batch);
      offset += size;
    }
    await store.takeDue([view], now, async () => {});

    for (let from = 0; from < histories.length; from += 500) {
      const some = histories.slice(from, from + 500);
      for (const before of [false, true]) {
        const instants = some.map((history) => edgeInstant(history));
        const rows = await store.valuesAt(
          view,
          some.map(({ key }) => key),
          instants,
          { before, patient: true },
        );
        expect(rows).toHaveLength(some.length);
        for (const [index, { events, key }] of some.entries()) {
          const at = instants[index]!;
          const seen = events.filter(({ eventTime }) => (before ? eventTime < at : eventTime <= at));
          const place = `of ${key.text} ${before ? 'before' : 'at'} ${new Date(at).toISOString()}`;
          if (seen.length === 0) expect(rows[index]).toBeNull();
          else {
            expect(rows[index]?.eventTime).toBe(Math.max(...seen.map(({ eventTime }) => eventTime)));
            expectSame(view, rows[index]!.values, naiveValues(aggregation!, events, at, before), place);
          }
        }
      }
      const sets = await store.tilesAt(
        view,
        some.map(({ key }) => key),
        now,
      );
      for (const [index, { events, key }] of some.entries()) {
        if (events.length === 0) expect(sets[index]).toBeNull();
        else {
          // Later than what was asked for is fine too: values decay.
          const at = now + random.below(3) * random.below(90_000_000);
          const { values, until } = finishValues(aggregationPlan(aggregation!), sets[index]!.tiles, at);
          expectSame(view, values, naiveValues(aggregation!, events, at), `of ${key.text} from tiles`);
          if (until < Number.POSITIVE_INFINITY) {
            expectSame(view, values, naiveValues(aggregation!, events, until - 1), `of ${key.text} until`);
          }
        }
      }
    }

    function edgeInstant({ base, events }: History): number {
      const event = events[random.below(Math.max(1, events.length))]?.eventTime ?? base;
      const { window } = aggregationPlan(aggregation!).features[random.below(view.features.length)]!;
      const step = [0, window.length, window.hop, window.length + window.hop][random.below(4)]!;
      return Math.min(now, event + step + random.below(3) - 1);
    }
  }, 120_000);

  test('give what the golden vectors say', async () => {
    const cases = goldenAggregations();
    const windows = new Map(cases.map((one) => [JSON.stringify([one.function, one.type, one.n, one.window]), one]));
    for (const [kind, { function: aggregate, type, n, window }] of windows) {
      const shared = {
        name: 'f',
        function: aggregate,
        windows: [`${window.length / 1000}s`],
        hop: `${window.hop / 1000}s`,
      };
      const view = freshAggregationView(type ? [['value', type]] : [], [
        { ...shared, ...(type ? { column: 'value' } : {}), ...(n === null ? {} : { n }) },
      ]);
      await store.prepare([view]);
      const group = cases.filter((one) => JSON.stringify([one.function, one.type, one.n, one.window]) === kind);
      const rows = group.flatMap((one, index) =>
        one.events.map(({ eventTime, value }): Omit<NewRow, 'offset'> => {
          return { key: entityKey([`${index}`]), eventTime, values: type ? [value] : [] };
        }),
      );
      const batch = batchOf(freshTopic(), [{ view, rows: rows.map((row, at) => ({ ...row, offset: BigInt(at) })) }]);
      await store.commit({ ...batch, now: Number.MAX_SAFE_INTEGER / 1_000 });
      const keys = group.map((_, index) => entityKey([`${index}`]));
      const found = await store.valuesAt(
        view,
        keys,
        group.map(({ at }) => at),
      );
      for (const [index, { expected, events, at }] of group.entries()) {
        const seen = events.some(({ eventTime }) => eventTime <= at);
        if (seen) expectSame(view, found[index]!.values, [expected], `${kind} case ${index}`);
        else expect(found[index]).toBeNull();
      }
    }
  });

  test('as they were known at an instant leave out what arrived later', async () => {
    const view = freshAggregationView(
      [['amount', 'FLOAT64']],
      [{ name: 'spend', function: 'sum', column: 'amount', windows: ['1h'] }],
    );
    await store.prepare([view]);
    const at = Date.UTC(2026, 0, 1, 12);
    const key = entityKey(['a']);
    const rows = [1, 2, 4].map((amount, index): NewRow => {
      const arrivedAt = at + (index - 1) * 60_000;
      return { key, offset: BigInt(index), eventTime: at - 60_000, values: [amount], arrivedAt };
    });
    await store.commit(batchOf(freshTopic(), [{ view, rows }]));
    const sums = async (known: boolean) =>
      (await store.valuesAt(view, [key, key], [at, at + 60_000], { known })).map((row) => row?.values[0]);
    expect(await sums(false)).toEqual([7, 7]);
    expect(await sums(true)).toEqual([3, 7]);
  });

  test('merged by two processes at once have every event once, and versions that grow', async () => {
    const view = freshAggregationView(
      [['amount', 'FLOAT64']],
      [{ name: 'spend', function: 'sum', column: 'amount', windows: ['1h'] }],
    );
    await store.prepare([view]);
    const at = Date.UTC(2026, 0, 1, 12);
    const key = entityKey(['a']);
    const versions = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const rows: NewRow[] = [{ key, offset: 0n, eventTime: at + index, values: [1] }];
        const one = index % 2 ? store : platform.other;
        const { touched } = await one.commit(batchOf(freshTopic(), [{ view, rows }]));
        return touched[0]!.tiles!.version;
      }),
    );
    expect(new Set(versions).size).toBe(40);
    const [set] = await store.tilesAt(view, [key], at + 1_000);
    expect(set!.version).toBe(40);
    expect(set!.tiles.map(({ states }) => states[0])).toEqual([[40]]);
  });
});
