/** What every engine makes of the rows of a source: real files, the real stores of history and jobs, and a real Spark. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  amounts,
  bus,
  closeScene,
  csv,
  declare,
  ENGINES,
  type EngineName,
  expectWhole,
  folder,
  leftovers,
  materialize,
  openScene,
  PATIENCE,
  plainSchema,
  plainViews,
  platform,
  succeed,
  timeOf,
} from './batch/batch-scene.js';
import { queryRuns } from './batch/query-runs.js';
import { sameValues } from './batch/same-values.js';
import { sparkRuns } from './batch/spark-runs.js';
import { trainingSets } from './batch/training-sets.js';
import { PROJECT } from './store/postgres-platform.js';

beforeAll(openScene, 300_000);
afterAll(closeScene);

describe.each(ENGINES)('a source that %s reads', (engine: EngineName) => {
  const at = (name: string) => `${name}_${engine}`;

  test(
    'has each row once in every view, and of a file that has grown what is new',
    async () => {
      const name = at('grown');
      await declare({ name, schema: plainSchema, batch: { engine, csv: `${name}.csv` } }, plainViews(name));
      csv(`${name}.csv`, 0, 1_700);
      expect(await succeed(name)).toEqual({ read: 1_700, written: 1_700, deadLetters: 0, watermark: timeOf(1_699) });
      await expectWhole(name, 1_700);
      csv(`${name}.csv`, 0, 1_900);
      expect(await succeed(name)).toMatchObject({ written: 200, watermark: timeOf(1_899) });
      expect(await succeed(name)).toMatchObject({ written: 0, watermark: timeOf(1_899) });
      await expectWhole(name, 1_900);
      expect(await leftovers(name)).toBe(0);
    },
    PATIENCE,
  );

  test(
    'has what cannot be used as dead letters, with their reasons',
    async () => {
      const name = at('letters');
      await declare({ name, schema: plainSchema, batch: { engine, csv: `${name}.csv` } }, plainViews(name));
      const far = new Date(Date.UTC(2999, 0, 1)).toISOString();
      const rows = [
        'u1,1,2026-01-01T00:00:00Z',
        ',2,2026-01-01T00:00:01Z',
        'u1,3,',
        `u1,4,${far}`,
        'u1,1e101,2026-01-01T00:00:02Z',
      ];
      writeFileSync(join(folder, `${name}.csv`), `user_id,amount,at\n${rows.join('\n')}\n`);
      expect(await succeed(name)).toMatchObject({ read: 5, written: 1, deadLetters: 4 });
      const letters = await platform.store.deadLetters(name, 10);
      const shown = letters.map(({ code, field, offset, payload }) => ({ code, field, offset, payload: `${payload}` }));
      const payload = (user: string | null, amount: string, time: string | null) =>
        `{"user_id":${JSON.stringify(user)},"amount":${amount},"at":${JSON.stringify(time)}}`;
      expect(shown.reverse()).toEqual([
        {
          code: 'EVENT_KEY_MISSING',
          field: 'user_id',
          offset: 1n,
          payload: payload(null, '2', '2026-01-01T00:00:01.000Z'),
        },
        { code: 'EVENT_TIME_MISSING', field: 'at', offset: 2n, payload: payload('u1', '3', null) },
        { code: 'EVENT_FROM_THE_FUTURE', field: 'at', offset: 3n, payload: payload('u1', '4', far) },
        {
          code: 'EVENT_FIELD_TYPE',
          field: 'amount',
          offset: 4n,
          payload: payload('u1', '1e+101', '2026-01-01T00:00:02.000Z'),
        },
      ]);
      expect(bus.topics.get(`${PROJECT}.${name}.batch.dead-letters`)).toHaveLength(4);
    },
    PATIENCE,
  );

  test(
    'and that is not as it is declared writes nothing of it, and names the column',
    async () => {
      const name = at('wrong');
      const views = plainViews(name);
      const cases: [string, Record<string, unknown>, string][] = [
        [`user_id,amount,at\nu1,many,${timeOf(1)}\n`, {}, 'amount'],
        [`user_id,at\nu1,${timeOf(1)}\n`, {}, 'amount'],
        ['', { csv: 'nowhere.csv' }, 'nowhere.csv'],
      ];
      for (const [text, batch, message] of cases) {
        await declare({ name, schema: plainSchema, batch: { engine, csv: `${name}.csv`, ...batch } }, views);
        writeFileSync(join(folder, `${name}.csv`), text);
        const { status, error } = await materialize(name);
        expect({ status, code: error?.code }).toEqual({ status: 'FAILED', code: 'BAD_REQUEST' });
        expect(error?.message).toContain(message);
        expect(error?.message).not.toContain('\n');
      }
      expect(await amounts(name)).toEqual([]);
    },
    PATIENCE,
  );
});

sparkRuns();
queryRuns();
sameValues();
trainingSets();
