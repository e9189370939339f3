/** What another engine stages, merged into history and tiles; the engine is played by the algebra in TypeScript. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { State } from '../../src/aggregation/aggregator.js';
import { aggregationPlan, finishValues } from '../../src/aggregation/tile-set.js';
import { type EntityKey, entityKey } from '../../src/definition/entity-key.js';
import type { FeatureValue, ScalarValue } from '../../src/definition/value-type.js';
import type { ViewVersion } from '../../src/definition/view-version.js';
import type { NewRow, SourceStream } from '../../src/store/offline-store.js';
import type { BegunRun, StagedBatches } from '../../src/store/staged-batches.js';
import { connectPostgresStagedBatches } from '../../src/store/staged-batches-postgres.js';
import { type NaiveEvent, naiveValues } from '../unit/fakes/naive-aggregation.js';
import { everyAggregation, everyColumn, randomInstant, randomValue } from '../unit/fakes/random-history.js';
import { seededRandom } from '../unit/fakes/seeded-random.js';
import { batchOf, freshAggregationView, freshTopic, freshView, key, NOW, newRow } from './store/offline-samples.js';
import { openPostgresPlatform, PROJECT, query } from './store/postgres-platform.js';
import { expectSame } from './store/same-values.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
let platform: Awaited<ReturnType<typeof openPostgresPlatform>>;
let staged: StagedBatches;
let other: StagedBatches;
beforeAll(async () => {
  platform = await openPostgresPlatform();
  const connect = () => connectPostgresStagedBatches({ url: platform.database.url, project: PROJECT });
  [staged, other] = [connect(), connect()];
});
afterAll(async () => {
  await staged?.close();
  await other?.close();
  await platform?.close();
});

/** Streams have no dead letters of their own. */
const nothing = async () => [];
const sql = (text: string, values: unknown[]) => query(platform.database.url, text, values);
const plain = (value: FeatureValue): unknown => (typeof value === 'bigint' ? `${value}` : value);
const keysOf = (view: ViewVersion, { parts }: EntityKey) =>
  Object.fromEntries(view.keys.map(({ name }, index) => [name, parts[index]]));

/** A state as JSON: the last values are a list, everything else is a column each. */
function stateJson(view: ViewVersion, index: number, state: State): Record<string, unknown> {
  const isList = view.aggregation!.aggregates[index]!.function === 'lastN';
  return Object.fromEntries(
    state.map((part, at) => [`a${index}_${at}`, isList && part !== null ? JSON.parse(part as string) : plain(part)]),
  );
}

/** Stages rows in the order of their arrival, as the job in `spark/` does; what lies beyond `clock` waits. */
async function stage(
  stream: string,
  { epoch }: BegunRun,
  batch: number,
  view: ViewVersion,
  rows: readonly NewRow[],
  clock: number,
): Promise<void> {
  const place = (row: NewRow, _n: number) => ({ _n, _ms: row.eventTime, ...keysOf(view, row.key) });
  const kinds: Record<string, unknown[]> = {
    rows: rows.map((row, _n) => ({
      ...place(row, _n),
      ...Object.fromEntries(view.columns.map(({ name }, at) => [name, plain(row.values[at] ?? null)])),
    })),
    due: rows.flatMap((row, _n) => (row.eventTime > clock ? [place(row, _n)] : [])),
  };
  const heads = new Map<string, { key: EntityKey; newest: number }>();
  const tiles = new Map<string, { key: EntityKey; hop: number; start: number; states: State[] }>();
  const plan = view.aggregation ? aggregationPlan(view.aggregation) : null;
  for (const [sequence, row] of rows.entries()) {
    if (row.eventTime > clock) continue;
    const newest = Math.max(heads.get(row.key.text)?.newest ?? row.eventTime, row.eventTime);
    heads.set(row.key.text, { key: row.key, newest });
    for (const { hop } of plan?.hops ?? []) {
      const start = Math.floor(row.eventTime / hop) * hop;
      const id = `${row.key.text} ${hop} ${start}`;
      const tile = tiles.get(id) ?? { key: row.key, hop, start, states: plan!.aggregators.map((): State => [null]) };
      tile.states = plan!.aggregators.map(({ prepare, merge }, index) => {
        const { column } = view.aggregation!.aggregates[index]!;
        const at = view.columns.findIndex(({ name }) => name === column);
        const value = column === null ? null : ((row.values[at] ?? null) as ScalarValue | null);
        return merge(tile.states[index]!, prepare(value, { eventTime: row.eventTime, sequence }));
      });
      tiles.set(id, tile);
    }
  }
  kinds.heads = [...heads.values()].map((head) => ({ ...keysOf(view, head.key), _ms: head.newest }));
  kinds.tiles = [...tiles.values()].map((tile) => ({
    ...keysOf(view, tile.key),
    _hop: tile.hop,
    _start: tile.start,
    ...Object.assign({}, ...tile.states.map((state, index) => stateJson(view, index, state))),
  }));
  for (const [kind, list] of Object.entries(kinds)) {
    for (let at = 0; at < list.length; at += 500) {
      await sql(
        `INSERT INTO fstore_${PROJECT}.staged_batches (stream, epoch, batch, view_table, kind, content) VALUES ($1, $2, $3, $4, $5, $6)`,
        [stream, epoch, batch, view.table, kind, JSON.stringify(list.slice(at, at + 500))],
      );
    }
  }
}

async function seal(
  stream: string,
  { epoch }: BegunRun,
  batch: number,
  size: number,
  positions: Record<string, Record<string, { from: string; to: string }>> = {},
): Promise<void> {
  const sealed = { stream, epoch, batch, size, events: size, unusable: 0, newest: NOW, positions };
  await sql(`SELECT fstore_${PROJECT}.seal_staged_batch($1::json)`, [JSON.stringify(sealed)]);
}

const runOf = (stream: string) => ({
  stream,
  source: freshTopic(),
  topic: stream,
  revision: 1,
  views: [],
});

describe('staged batches', () => {
  test(`of 1,000 random histories give the values of the oracle, mixed with what the built-in processor writes (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const view = freshAggregationView(everyColumn, everyAggregation);
    await platform.store.prepare([view]);
    const now = Date.UTC(2026, 5, 1, 12, 0, 0, 1);
    const histories = Array.from({ length: 1_000 }, (_, index) => ({
      key: entityKey([`${index}`]),
      base: randomInstant(random, now),
      events: [] as NaiveEvent[],
    }));
    const arrivals = histories.flatMap((history) =>
      Array.from({ length: random.below(9) }, () => {
        const spread = random.below(40) ** 3 * random.below(100_000) * (random.below(2) ? 1 : -1);
        const eventTime = Math.min(random.below(4) === 0 ? history.base : history.base + spread, now);
        const values = view.columns.map(({ type }) => (random.below(5) === 0 ? null : randomValue(random, type)));
        return { history, row: { key: history.key, eventTime, values } };
      }),
    );
    random.shuffle(arrivals);
    const stream = freshTopic();
    const topic = freshTopic();
    const run = await staged.begin(runOf(stream));
    for (let offset = 0, batch = 0; offset < arrivals.length; batch += 1) {
      const rows = arrivals.slice(offset, offset + 1 + random.below(700)).map(({ history, row }, index): NewRow => {
        history.events.push({
          eventTime: row.eventTime,
          sequence: offset + index,
          values: Object.fromEntries(view.columns.map(({ name }, at) => [name, row.values[at] as ScalarValue | null])),
        });
        return { ...row, offset: BigInt(offset + index) };
      });
      const clock = random.below(3) === 0 ? rows[0]!.eventTime : now;
      if (random.below(3) === 0) await platform.store.commit(batchOf(topic, [{ view, rows }], { now: clock }));
      else {
        await stage(stream, run, batch, view, rows, clock);
        await seal(stream, run, batch, rows.length);
        await Promise.all([staged, other].map((one) => one.merge(stream, [view], nothing)));
      }
      offset += rows.length;
    }
    await platform.store.takeDue([view], now, async () => {});
    const keys = histories.map((history) => history.key);
    const [values, sets] = [
      await platform.store.valuesAt(view, keys, now, { patient: true }),
      await platform.store.tilesAt(view, keys, now),
    ];
    const plan = aggregationPlan(view.aggregation!);
    for (const [index, { events }] of histories.entries()) {
      const wanted = events.length === 0 ? null : naiveValues(view.aggregation!, events, now);
      const fromTiles = sets[index] ? finishValues(plan, sets[index].tiles, now).values : null;
      for (const got of [values[index]?.values ?? null, fromTiles]) {
        if (got === null || wanted === null) expect(got).toEqual(wanted);
        else expectSame(view, got, wanted, `of ${histories[index]!.key.text} (seed ${seed})`);
      }
    }
  });

  test('are merged once, in the order of their sealing, and publish their entities until it is done', async () => {
    const view = freshView();
    await platform.store.prepare([view]);
    const stream = freshTopic();
    const run = await staged.begin(runOf(stream));
    await stage(stream, run, 0, view, [newRow(0, 'a', 10, 1), newRow(1, 'b', 10, 2)], NOW);
    expect(await staged.merge(stream, [view], nothing)).toBeNull();
    await seal(stream, run, 0, 2);
    const merged = await Promise.all([staged, other].map((one) => one.merge(stream, [view], nothing)));
    expect(merged.filter((one) => one !== null)).toHaveLength(1);
    const told: string[] = [];
    const fails = staged.publish(stream, [view], async () => {
      throw new Error('Redis is away');
    });
    await expect(fails).rejects.toThrow('Redis is away');
    await other.publish(stream, [view], async (_, keys) => void told.push(...keys.map(({ text }) => text)));
    expect(told.toSorted()).toEqual(['a', 'b']);
    expect(await staged.publish(stream, [view], async () => {})).toBe(0);
    expect((await platform.store.valuesAt(view, [key('a'), key('b')], NOW)).map((row) => row?.values)).toEqual([
      [1],
      [2],
    ]);
    expect(await platform.countRows(view)).toBe(2);
    expect(await sql(`SELECT 1 FROM fstore_${PROJECT}.staged_batches WHERE stream = $1`, [stream])).toEqual([]);
  });

  test('of a run that another has followed cannot be sealed, and leave nothing', async () => {
    const view = freshView();
    await platform.store.prepare([view]);
    const stream = freshTopic();
    const request = runOf(stream);
    const first = await staged.begin(request);
    await stage(stream, first, 0, view, [newRow(0, 'a', 10, 1)], NOW);
    await other.begin(request);
    await expect(seal(stream, first, 0, 1)).rejects.toMatchObject({ code: 'FS001' });
    expect(await staged.merge(stream, [view], nothing)).toBeNull();
    expect(await sql(`SELECT 1 FROM fstore_${PROJECT}.staged_batches WHERE stream = $1`, [stream])).toEqual([]);
  });

  test('answer a run that asks for newer definitions once for each question', async () => {
    const stream = freshTopic();
    const { epoch } = await staged.begin(runOf(stream));
    const ask = async () => {
      const [row] = await sql(`SELECT fstore_${PROJECT}.ask_revision($1, $2, 3) AS known`, [stream, epoch]);
      return (row as { known: boolean }).known;
    };
    expect([await staged.isAsking(stream, epoch), await ask(), await staged.isAsking(stream, epoch)]).toEqual([
      false,
      false,
      true,
    ]);
    await staged.confirm(stream, epoch);
    expect([await ask(), await ask()]).toEqual([true, false]);
  });
});

describe('a view that moves to another engine and back', () => {
  test('has every event once, wherever the two engines stand', async () => {
    const view = freshAggregationView(
      [['amount', 'FLOAT64']],
      [
        { name: 'spend', function: 'sum', column: 'amount', windows: ['30d'] },
        { name: 'events', function: 'count', windows: ['30d'] },
      ],
    );
    const there: ViewVersion = { ...view, engine: 'spark' };
    const source = freshTopic();
    const stream: SourceStream = { name: freshTopic(), topic: freshTopic(), consumer: freshTopic() };
    const { store } = platform;
    await store.prepare([view]);
    const rowAt = (offset: number) => newRow(offset, 'a', NOW - 1_000 + offset, 2 ** offset);
    const read = (payload: string) => {
      const { offset } = JSON.parse(payload) as { offset: number };
      return { key: key('a'), eventTime: NOW - 1_000 + offset, values: [2 ** offset] };
    };
    const commit = (from: number, to: number, revision: number, views: readonly ViewVersion[]) => {
      const offsets = Array.from({ length: to - from }, (_, index) => from + index);
      return store.commit({
        ...batchOf(
          stream.topic,
          views.map((one) => ({ view: one, rows: offsets.map(rowAt) })),
        ),
        consumer: stream.consumer,
        source,
        revision,
        nextOffset: BigInt(to),
        events: offsets.map((offset) => ({
          offset: BigInt(offset),
          eventTime: NOW - 1_000 + offset,
          payload: JSON.stringify({ offset }),
        })),
      });
    };
    const move = (to: ViewVersion, revision: number) =>
      store.fill({ source, stream, revision }, [{ view: to, read }], NOW);
    const compute = async (run: BegunRun, batch: number, from: number, to: number) => {
      const offsets = Array.from({ length: to - from }, (_, index) => from + index);
      await stage(stream.name, run, batch, there, offsets.map(rowAt), NOW);
      await seal(stream.name, run, batch, to - from, { [view.table]: { 0: { from: `${from}`, to: `${to}` } } });
    };
    const begin = (revision: number) =>
      staged.begin({ stream: stream.name, source, topic: stream.topic, revision, views: [there] });

    await move(view, 1);
    await commit(0, 10, 1, [view]);
    await expect(begin(1)).rejects.toMatchObject({ code: 'DEFINITIONS_STALE' });
    await move(there, 2);
    await expect(commit(10, 12, 1, [view])).rejects.toMatchObject({ code: 'DEFINITIONS_STALE' });
    const run = await begin(2);
    expect(run.positions.get(view.table)).toEqual({ 0: '10' });
    // The built-in processor is ahead: it logs what the other engine has not had yet.
    await commit(10, 20, 2, []);
    await compute(run, 0, 10, 15);
    await expect(move(view, 3)).rejects.toMatchObject({ code: 'ENGINE_BUSY' });
    expect(await staged.merge(stream.name, [there], nothing)).not.toBeNull();
    await move(view, 3);
    await expect(compute(run, 1, 15, 16)).rejects.toMatchObject({ code: 'FS001' });
    await commit(20, 22, 3, [view]);
    expect((await store.valuesAt(view, [key('a')], NOW))[0]?.values).toEqual([2 ** 22 - 1, 22n]);

    // And behind: what the other engine has had already does not come again.
    await move(there, 4);
    const second = await begin(4);
    expect(second.positions.get(view.table)).toEqual({ 0: '22' });
    await compute(second, 0, 22, 30);
    await staged.merge(stream.name, [there], nothing);
    await move(view, 5);
    await commit(22, 26, 5, [view]);
    await commit(26, 33, 5, [view]);
    expect((await store.valuesAt(view, [key('a')], NOW))[0]?.values).toEqual([2 ** 33 - 1, 33n]);
    const touched: string[] = [];
    await store.takeDue([view], Date.now(), async (all) => void touched.push(...all.map((one) => one.key.text)));
    expect(touched).toEqual(['a']);
  });

  test('begins at the beginning of its topic if only that engine can read events, whatever was logged before', async () => {
    const view: ViewVersion = { ...freshView(), engine: 'spark' };
    const [source, topic, consumer] = [freshTopic(), freshTopic(), freshTopic()];
    const stream: SourceStream = { name: freshTopic(), topic, consumer };
    const { store } = platform;
    await store.prepare([view]);
    const events = [{ offset: 0n, eventTime: NOW, payload: '{}' }];
    await store.commit({ ...batchOf(topic, []), consumer, source, revision: 1, nextOffset: 1n, events });
    expect(await store.fill({ source, stream, revision: 2 }, [{ view, read: null }], NOW)).toBe(0);
    const run = await staged.begin({ stream: stream.name, source, topic, revision: 2, views: [view] });
    expect(run.positions.get(view.table)).toBeUndefined();
  });
});
