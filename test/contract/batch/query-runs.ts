/** Views that a query computes from rows of batches. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { entityKey } from '../../../src/definition/entity-key.js';
import { PROJECT } from '../store/postgres-platform.js';
import {
  amounts,
  csv,
  declare,
  folder,
  leftovers,
  materialize,
  NOW,
  PATIENCE,
  plainSchema,
  platform,
  sql,
  succeed,
  timeOf,
} from './batch-scene.js';

const ROWS = 2_400;
/** Of these users there is a level; of `u6` there is none. */
const LEVELS = [1, 2, 3, 4, 5, 6];

export function queryRuns(): void {
  describe('a query over batches', () => {
    const query = (source: string) => ({
      name: `${source}_weighted`,
      engine: 'spark',
      sql: {
        query: `SELECT p.user_id, p.at, p.amount * l.level AS weighted FROM ${source} p
          JOIN levels l ON l.user_id = p.user_id WHERE p.amount % 2 = 0`,
        with: ['levels'],
        features: { weighted: 'FLOAT64' },
      },
    });
    const declareLevels = async (): Promise<void> => {
      const schema = { user_id: 'STRING', level: 'FLOAT64', at: 'TIMESTAMP' };
      const lines = LEVELS.map((level, user) => `u${user},${level},${timeOf(0)}`);
      writeFileSync(join(folder, 'levels.csv'), `user_id,level,at\n${lines.join('\n')}\n`);
      await declare({ name: 'levels', schema, batch: { csv: 'levels.csv' } }, []);
    };

    test(
      'has the rows of its result once, beside the views that read the rows themselves',
      async () => {
        await declareLevels();
        const plain = { name: 'paid_newest', features: ['amount'] };
        const batch = { engine: 'spark', csv: 'paid.csv' };
        const views = await declare({ name: 'paid', schema: plainSchema, batch }, [plain, query('paid')]);
        csv('paid.csv', 0, ROWS);
        expect(await succeed('paid')).toMatchObject({ read: ROWS, written: ROWS, deadLetters: 0 });
        expect(await succeed('paid')).toMatchObject({ written: 0 });
        const view = views.find(({ name }) => name === 'paid_weighted')!;
        const kept = Array.from({ length: ROWS }, (_, row) => row).filter(
          (row) => row % 2 === 0 && row % 7 < LEVELS.length,
        );
        const [{ n } = { n: 0 }] = await sql<{ n: number }>(
          `SELECT count(*)::int AS n FROM fstore_${PROJECT}."${view.table}"`,
        );
        expect(n).toBe(kept.length);
        for (const [user, level] of LEVELS.entries()) {
          const newest = kept.filter((row) => row % 7 === user).at(-1)!;
          const [row] = await platform.store.valuesAt(view, [entityKey([`u${user}`])], NOW);
          expect([row?.eventTime, row?.values]).toEqual([Date.parse(timeOf(newest)), [newest * level]]);
        }
        expect(await platform.store.valuesAt(view, [entityKey(['u6'])], NOW)).toEqual([null]);
        expect([(await amounts('paid')).length, await leftovers('paid')]).toEqual([ROWS, 0]);
      },
      PATIENCE,
    );

    test(
      'is refused by Spark where it is wrong, and by the built-in engine in any case; nothing is written then',
      async () => {
        await declareLevels();
        const wrong = {
          ...query('misspelt'),
          sql: { ...query('misspelt').sql, query: 'SELECT nobody, at FROM misspelt' },
        };
        await declare({ name: 'misspelt', schema: plainSchema, batch: { engine: 'spark', csv: 'misspelt.csv' } }, [
          wrong,
        ]);
        csv('misspelt.csv', 0, 10);
        const message = expect.stringContaining('view misspelt_weighted@1: [UNRESOLVED_COLUMN');
        expect(await materialize('misspelt')).toMatchObject({
          status: 'FAILED',
          error: { code: 'SQL_INVALID', message },
        });
        await declare({ name: 'elsewhere', schema: plainSchema, batch: { csv: 'misspelt.csv' } }, [query('elsewhere')]);
        expect(await materialize('elsewhere')).toMatchObject({ status: 'FAILED', error: { code: 'BAD_REQUEST' } });
        expect([await amounts('misspelt'), await amounts('elsewhere')]).toEqual([[], []]);
      },
      PATIENCE,
    );
  });
}
