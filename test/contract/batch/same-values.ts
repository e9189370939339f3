import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { aggregationPlan, finishValues } from '../../../src/aggregation/tile-set.js';
import { entityKey } from '../../../src/definition/entity-key.js';
import type { FeatureValue, ValueType } from '../../../src/definition/value-type.js';
import type { TableFormat } from '../../../src/tabular/table-schema.js';
import { openTableWriter } from '../../../src/tabular/table-writer.js';
import { goldenAggregations } from '../../unit/fakes/golden-aggregations.js';
import { everyAggregation, everyColumn, randomInstant, randomValue } from '../../unit/fakes/random-history.js';
import { seededRandom } from '../../unit/fakes/seeded-random.js';
import { PROJECT } from '../store/postgres-platform.js';
import { expectSame } from '../store/same-values.js';

import { declare, type EngineName, folder, NOW, PATIENCE, platform, sql, succeed } from './batch-scene.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);

/** Declares the tests. */
export function sameValues(): void {
  test(
    `1,000 random histories have one value, whichever engine reads them from whatever (seed ${seed})`,
    async () => {
      const random = seededRandom(seed);
      const columns: [string, ValueType][] = [
        ['user_id', 'STRING'],
        ...everyColumn,
        ['tags', 'STRING[]'],
        ['at', 'TIMESTAMP'],
      ];
      const schema = Object.fromEntries(columns);
      const histories = Array.from({ length: 1_000 }, () => randomInstant(random, NOW));
      const rows = histories.flatMap((base, index) =>
        Array.from({ length: random.below(9) }, () => {
          const spread = random.below(40) ** 3 * random.below(100_000) * (random.below(2) ? 1 : -1);
          const time = Math.min(random.below(4) === 0 ? base : base + spread, NOW);
          const values = everyColumn.map(([, type]) => (random.below(5) === 0 ? null : randomValue(random, type)));
          const tags =
            random.below(3) === 0
              ? null
              : Array.from({ length: random.below(3) }, () => randomValue(random, 'STRING') as string);
          return [`u${index}`, ...values, tags, time] as FeatureValue[];
        }),
      );
      random.shuffle(rows);
      // Events that come twice are two.
      rows.push(...rows.slice(0, 50));
      const write = async (format: TableFormat) => {
        const file = await openTableWriter(
          join(folder, `random.${format}`),
          format,
          columns.map(([name, type]) => ({ name, type })),
        );
        await file.write(rows);
        await file.close();
      };
      for (const format of ['parquet', 'csv', 'ndjson'] as const) await write(format);
      const viewsOf = (name: string) => [
        { name: `${name}_windows`, aggregations: everyAggregation },
        { name: `${name}_latest`, features: [...everyColumn.map(([column]) => column), 'tags'] },
      ];
      const read = async (engine: EngineName, format: TableFormat) => {
        const name = `random_${format}_${engine}`;
        const views = await declare({ name, schema, batch: { engine, [format]: `random.${format}` } }, viewsOf(name));
        expect(await succeed(name)).toMatchObject({ read: rows.length, written: rows.length, deadLetters: 0 });
        return { name, views };
      };
      const wanted = await read('builtin', 'parquet');
      const keys = histories.map((_, index) => entityKey([`u${index}`]));
      const instants = histories.map((base) => base + random.below(40) ** 3 * random.below(100_000));
      const log = (name: string) =>
        sql(
          `SELECT "offset", event_time, payload::text FROM fstore_${PROJECT}.event_log WHERE source = $1 ORDER BY "offset"`,
          [name],
        );
      const logged = await log(wanted.name);
      for (const format of ['parquet', 'csv', 'ndjson'] as const) {
        const got = await read('spark', format);
        expect(await log(got.name)).toEqual(logged);
        for (const [index, view] of got.views.entries()) {
          const twin = wanted.views[index]!;
          for (const asOf of [NOW, instants]) {
            const [mine, theirs] = await Promise.all(
              [view, twin].map((one) => platform.store.valuesAt(one, keys, asOf)),
            );
            for (const [at, row] of theirs!.entries()) {
              const place = `of ${keys[at]!.text} in ${format} (seed ${seed})`;
              if (row === null || mine![at] === null) expect([place, mine![at]]).toEqual([place, row]);
              else {
                expect([place, mine![at]!.eventTime]).toEqual([place, row.eventTime]);
                expectSame(view, mine![at]!.values, row.values, place);
              }
            }
          }
          if (!view.aggregation) continue;
          const plan = aggregationPlan(view.aggregation);
          const [mine, theirs] = await Promise.all([view, twin].map((one) => platform.store.tilesAt(one, keys, NOW)));
          for (const [at, set] of theirs!.entries()) {
            const place = `online of ${keys[at]!.text} in ${format} (seed ${seed})`;
            if (set === null) expect([place, mine![at]]).toEqual([place, null]);
            else
              expectSame(
                view,
                finishValues(plan, mine![at]!.tiles, NOW).values,
                finishValues(plan, set.tiles, NOW).values,
                place,
              );
          }
        }
      }
    },
    PATIENCE,
  );

  test(
    'golden vectors have on Spark the values that they say',
    async () => {
      const cases = goldenAggregations();
      const kinds = [...new Set(cases.flatMap(({ type }) => (type ? [type] : [])))];
      const columnOf = (type: string) => `value_${type.toLowerCase()}`;
      const columns: { name: string; type: ValueType }[] = [
        { name: 'user_id', type: 'STRING' },
        ...kinds.map((type) => ({ name: columnOf(type), type })),
        { name: 'at', type: 'TIMESTAMP' },
      ];
      const seconds = (time: number) => `${time / 1_000}s`;
      const textOf = ({ function: name, type, n, window }: (typeof cases)[number]) =>
        JSON.stringify([name, type, n, window.length, window.hop]);
      const wanted = [...new Map(cases.map((one) => [textOf(one), one])).values()];
      const aggregations = wanted.map(({ function: name, type, n, window }, index) => ({
        name: `g${index}`,
        function: name,
        ...(type ? { column: columnOf(type) } : {}),
        ...(n ? { n } : {}),
        windows: [seconds(window.length)],
        hop: seconds(window.hop),
      }));
      const file = await openTableWriter(join(folder, 'golden.parquet'), 'parquet', columns);
      const rows = cases.flatMap((one, index) =>
        one.events.map(({ eventTime, sequence, value }) => ({
          sequence,
          row: columns.map(({ name }): FeatureValue => {
            if (name === 'user_id') return `u${index}`;
            if (name === 'at') return eventTime;
            return one.type && name === columnOf(one.type) ? value : null;
          }),
        })),
      );
      await file.write(rows.sort((a, b) => a.sequence - b.sequence).map(({ row }) => row));
      await file.close();
      const schema = Object.fromEntries(columns.map(({ name, type }) => [name, type]));
      const some = (from: number) => ({ name: `golden_${from}`, aggregations: aggregations.slice(from, from + 100) });
      const starts = aggregations.flatMap((_, index) => (index % 100 === 0 ? [index] : []));
      const source = { name: 'golden', schema, batch: { engine: 'spark', parquet: 'golden.parquet' } };
      const views = await declare(source, starts.map(some));
      await succeed('golden');
      const keys = cases.map((_, index) => entityKey([`u${index}`]));
      const instants = cases.map(({ at }) => at);
      const found = new Map<string, readonly (FeatureValue | null)[]>();
      for (const view of views) {
        const values = await platform.store.valuesAt(view, keys, instants);
        for (const [at, { name }] of view.features.entries()) {
          found.set(
            name,
            values.map((row) => (row ? row.values[at]! : null)),
          );
        }
      }
      for (const [index, one] of cases.entries()) {
        const place = wanted.findIndex((other) => textOf(other) === textOf(one));
        const feature = `g${place}_${seconds(one.window.length)}`;
        const view = views.find(({ features }) => features.some(({ name }) => name === feature))!;
        const isEmpty = one.events.every(({ eventTime }) => eventTime > one.at);
        const shown = { ...view, features: view.features.filter(({ name }) => name === feature) };
        // Of an entity without an event there is no row.
        const expected = isEmpty ? null : one.expected;
        expectSame(shown, [found.get(feature)![index]!], [expected], `of case ${index}`);
      }
    },
    PATIENCE,
  );
}
