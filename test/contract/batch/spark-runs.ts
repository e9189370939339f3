/** What holds of a run of Spark wherever it, its driver or its worker dies, and whatever is declared meanwhile. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { EngineDriver } from '../../../src/materialization/engine-driver.js';
import { submitMaterialization } from '../../../src/materialization/materialize-job.js';

import {
  adopt,
  amounts,
  csv,
  declare,
  definitions,
  expectWhole,
  folder,
  jobs,
  lease,
  leftovers,
  materialize,
  PATIENCE,
  plainSchema,
  plainViews,
  START,
  spark,
  sql,
  succeed,
  work,
} from './batch-scene.js';

/** Declares the tests. */
export function sparkRuns(): void {
  describe('a run of Spark', () => {
    let count = 0;
    const fresh = async (rows: number) => {
      count += 1;
      const name = `run_${count}`;
      await declare({ name, schema: plainSchema, batch: { engine: 'spark', csv: `${name}.csv` } }, plainViews(name));
      csv(`${name}.csv`, 0, rows);
      return name;
    };
    /** Spark, of which `before` happens when it is asked and `after` when it has ended. */
    const sparkThat = (before: () => Promise<unknown>, after: () => Promise<unknown> = async () => {}) => {
      const driver = {
        runs: 0,
        run: async (...given: Parameters<EngineDriver['run']>) => {
          driver.runs += 1;
          if (driver.runs === 1) await before();
          const end = await spark.run(...given);
          if (driver.runs === 1) await after();
          return end;
        },
      };
      return driver;
    };
    const dead: EngineDriver = {
      run: async () => ({ outcome: 'failed', code: 'SPARK_FAILED', message: 'killed', field: null, log: 'nowhere' }),
    };

    test(
      'that dies before it has sealed leaves nothing, and the next one computes all',
      async () => {
        const name = await fresh(1_200);
        expect(await materialize(name, dead)).toMatchObject({ status: 'FAILED', error: { code: 'ENGINE_FAILED' } });
        expect([await amounts(name), await leftovers(name)]).toEqual([[], 0]);
        await succeed(name);
        await expectWhole(name, 1_200);
      },
      PATIENCE,
    );

    test(
      'that has sealed is merged to its end, once, whoever dies, and is not computed again',
      async () => {
        const name = await fresh(2_200);
        const driver = sparkThat(async () => {});
        // Its worker dies after each batch that it has merged.
        await materialize(name, driver, 1);
        let job = await lease();
        for (; job; job = await lease()) {
          const { status } = await work(job, driver, 1);
          if (status !== 'RUNNING') break;
        }
        expect((await jobs.get(job.id))!.status).toBe('SUCCEEDED');
        expect(driver.runs).toBe(1);
        await expectWhole(name, 2_200);
        expect(await leftovers(name)).toBe(0);
      },
      PATIENCE,
    );

    test(
      'whose driver dies when it has sealed has done its work; a job that failed meanwhile is ended by the next',
      async () => {
        const name = await fresh(1_200);
        const driver = sparkThat(async () => {});
        const lastWord: EngineDriver = {
          run: async (...given) => {
            await driver.run(...given);
            return dead.run(...given);
          },
        };
        await submitMaterialization(jobs, definitions.services.snapshot(), name);
        const job = await lease();
        await work(job, lastWord, 0);
        // It does not come back; the source is given to the built-in engine meanwhile.
        const { id, owner } = await lease();
        await jobs.fail(id, owner, { code: 'JOB_LOST', message: 'gone' });
        await declare({ name, schema: plainSchema, batch: { csv: `${name}.csv` } }, plainViews(name));
        csv(`${name}.csv`, 0, 1_300);
        expect(await succeed(name)).toMatchObject({ written: 1_200 });
        await expectWhole(name, 1_200);
        expect(await succeed(name)).toMatchObject({ written: 100 });
        await expectWhole(name, 1_300);
        expect(driver.runs).toBe(1);
      },
      PATIENCE,
    );

    test(
      'is begun anew when a view has begun with newer definitions, which then has every row once',
      async () => {
        const name = await fresh(1_200);
        const late = { kind: 'featureView', entity: 'user', source: name, name: `${name}_late`, features: ['amount'] };
        const driver = sparkThat(async () => {
          await definitions.apply([late]);
          await adopt(name);
        });
        expect((await materialize(name, driver)).status).toBe('SUCCEEDED');
        expect(driver.runs).toBe(2);
        await expectWhole(name, 1_200);
      },
      PATIENCE,
    );

    test(
      'that is sealed and half merged goes before a view that begins then, which has every row once',
      async () => {
        const name = await fresh(1_700);
        await materialize(name, spark, 1);
        const before = (await amounts(name)).length;
        expect([before > 0, before < 1_700]).toEqual([true, true]);
        const late = { kind: 'featureView', entity: 'user', source: name, name: `${name}_late`, features: ['amount'] };
        await definitions.apply([late]);
        await adopt(name);
        await expectWhole(name, 1_700);
        expect((await work(await lease())).status).toBe('SUCCEEDED');
        await expectWhole(name, 1_700);
      },
      PATIENCE,
    );

    test(
      'does not go on what the built-in engine has begun',
      async () => {
        const name = `mixed`;
        const batch = { csv: `${name}.csv` };
        await declare({ name, schema: plainSchema, batch }, plainViews(name));
        csv(`${name}.csv`, 0, 3_000);
        writeFileSync(join(folder, `${name}.csv`), 'u1,many,2026-03-01T00:00:00Z\n', { flag: 'a' });
        expect((await materialize(name)).status).toBe('FAILED');
        expect(await amounts(name)).toHaveLength(2_000);
        csv(`${name}.csv`, 0, 3_000);
        await declare({ name, schema: plainSchema, batch: { ...batch, engine: 'spark' } }, plainViews(name));
        expect(await materialize(name)).toMatchObject({ status: 'FAILED', error: { code: 'BATCH_CHANGED' } });
        await declare({ name, schema: plainSchema, batch }, plainViews(name));
        await succeed(name);
        await expectWhole(name, 3_000);
      },
      PATIENCE,
    );

    test(
      'reads PostgreSQL in parts, in the order of the built-in engine, and says what it cannot read',
      async () => {
        await sql('CREATE TABLE ledger (id serial, user_id text, amount numeric, at timestamp, other jsonb)');
        await sql(
          `INSERT INTO ledger SELECT i, 'u' || i % 7, i, $1::timestamptz AT TIME ZONE 'UTC' + i * interval '1 s' FROM generate_series(0, 1999) AS i`,
          [new Date(START).toISOString()],
        );
        const of = (batch: Record<string, unknown>) =>
          declare({ name: 'ledger', schema: plainSchema, batch: { engine: 'spark', ...batch } }, plainViews('ledger'));
        for (const [batch, message] of [
          [{ table: 'ledgers' }, 'relation "ledgers" does not exist'],
          [{ query: 'SELECT user_id, at FROM ledger' }, 'column "amount" does not exist'],
          [{ query: "SELECT *, setval('ledger_id_seq', 1) FROM ledger -- no" }, 'permission denied for sequence'],
          [{ table: 'ledger', partitionBy: 'user_id' }, 'user_id is string'],
          [{ table: 'ledger', partitionBy: 'nothing' }, 'nothing'],
        ] as const) {
          await of(batch);
          const { error } = await materialize('ledger');
          expect([error?.code, error?.message]).toEqual(['BAD_REQUEST', expect.stringContaining(message)]);
        }
        await of({ table: 'ledger', partitionBy: 'id', partitions: 3 });
        await succeed('ledger');
        await expectWhole('ledger', 2_000);
        await sql(
          `INSERT INTO ledger SELECT i, 'u' || i % 7, i, $1::timestamptz AT TIME ZONE 'UTC' + i * interval '1 s' FROM generate_series(2000, 2099) AS i`,
          [new Date(START).toISOString()],
        );
        await of({ table: 'ledger', partitionBy: 'at', partitions: 4 });
        expect(await succeed('ledger')).toMatchObject({ written: 100 });
        await expectWhole('ledger', 2_100);
      },
      PATIENCE,
    );
  });
}
