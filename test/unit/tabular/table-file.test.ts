import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { FeatureValue, ValueType } from '../../../src/definition/value-type.js';
import { formatOfName, readTable } from '../../../src/tabular/table-reader.js';
import { TABLE_FORMATS, type TableColumn, type TableFormat, type TableRow } from '../../../src/tabular/table-schema.js';
import { openTableWriter } from '../../../src/tabular/table-writer.js';
import { randomValue } from '../fakes/random-history.js';
import { seededRandom } from '../fakes/seeded-random.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const scalars = ['STRING', 'BOOL', 'INT32', 'INT64', 'FLOAT64', 'TIMESTAMP'] as const;
const schema: TableColumn[] = [...scalars, ...scalars.map((type): ValueType => `${type}[]`)].map((type, index) => {
  return { name: `c${index}`, type };
});
const edge: TableRow[] = [
  ['', true, -(2 ** 31), -(2n ** 63n), 0, -62_135_596_800_000, [], [], [], [], [], []],
  [
    'a,"b"\r\nc\n',
    false,
    2 ** 31 - 1,
    2n ** 63n - 1n,
    5e-324,
    253_402_300_799_999,
    ['', '"', ','],
    [false],
    [-1],
    [2n ** 53n + 1n],
    [1.5, -1e300],
    [0, -1],
  ],
  ['😀 é \uFFFD', true, 0, 0n, 1.7976931348623157e308, -1, null, null, null, null, null, null],
  schema.map(() => null),
];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fstore-table-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
async function write(
  format: TableFormat,
  columns: readonly TableColumn[],
  ...batches: (readonly TableRow[])[]
): Promise<string> {
  files += 1;
  const path = join(folder, `t${files}.${format}`);
  const writer = await openTableWriter(path, format, columns);
  for (const batch of batches) await writer.write(batch);
  const { bytes } = await writer.close();
  expect(readFileSync(path)).toHaveLength(bytes);
  return path;
}

async function read(path: string, columns?: readonly TableColumn[], extra = false) {
  const table = await readTable(path, { ...(columns ? { schema: columns } : {}), extra, batchSize: 7 });
  const rows: TableRow[] = [];
  for await (const batch of table.batches()) rows.push(...batch);
  await table.close();
  return { schema: table.schema, rowCount: table.rowCount, rows };
}

function text(path: string, content: string): string {
  const full = join(folder, path);
  writeFileSync(full, content);
  return full;
}

describe.each(TABLE_FORMATS)(`a table as %s (seed ${seed})`, (format) => {
  const random = seededRandom(seed);
  const rows = Array.from(
    { length: 200 },
    (): TableRow =>
      schema.map(({ type }): FeatureValue => {
        if (random.below(4) === 0) return null;
        const scalar = type.replace('[]', '') as ValueType;
        if (scalar === type) return randomValue(random, type);
        return Array.from({ length: random.below(4) }, () => randomValue(random, scalar)) as FeatureValue;
      }),
  );

  test('comes back as it was written, for every type, nulls, lists and extremes', async () => {
    const all = [...edge, ...rows];
    const back = await read(await write(format, schema, all), schema);
    expect(back.schema).toEqual(schema);
    expect(back.rows).toEqual(all);
  });

  test('has the same bytes in whatever batches its rows come', async () => {
    const many = Array.from({ length: 260 }, () => rows).flat();
    const sums = await Promise.all(
      [many.length, 1_000, 49_999].map(async (size) => {
        const batches = Array.from({ length: Math.ceil(many.length / size) }, (_, at) =>
          many.slice(at * size, at * size + size),
        );
        return createHash('sha256')
          .update(readFileSync(await write(format, schema, ...batches)))
          .digest('hex');
      }),
    );
    expect(new Set(sums).size).toBe(1);
    const back = await read(join(folder, `t${files}.${format}`), schema);
    expect(back.rows).toHaveLength(many.length);
    expect(back.rows.at(-1)).toEqual(many.at(-1));
  }, 60_000);

  test('without rows comes back without rows', async () => {
    const back = await read(await write(format, schema), schema);
    expect(back.rows).toEqual([]);
  });

  test('is read by the columns that are declared, with the others if they are wanted', async () => {
    const path = await write(
      format,
      [
        { name: 'label', type: 'BOOL' },
        { name: 'id', type: 'INT64' },
        { name: 'note', type: 'STRING' },
      ],
      [
        [true, 2n ** 60n, 'x'],
        [null, 1n, null],
      ],
    );
    const id = { name: 'id', type: 'STRING' as const };
    const some = await read(path, [{ name: 'id', type: 'INT64' }]);
    expect(some).toMatchObject({ schema: [{ name: 'id', type: 'INT64' }], rows: [[2n ** 60n], [1n]] });
    const all = await read(path, [{ name: 'id', type: 'INT64' }], true);
    expect(all.rows).toEqual([
      [true, 2n ** 60n, 'x'],
      [null, 1n, null],
    ]);
    await expect(read(path, [{ name: 'nothing', type: 'INT64' }])).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining('has no column nothing; it has 3 columns'),
    });
    if (format !== 'csv') {
      await expect(read(path, [id])).rejects.toMatchObject({
        message: expect.stringContaining('row 1, column id is STRING'),
      });
    }
  });
});

describe('a table as text', () => {
  test('has the types that its values seem to have', async () => {
    const csv = text(
      'inferred.csv',
      'id,amount,day,flag,note,empty\n1,1.5,2026-01-01T00:00:00Z,true,007x,\n2,2,2026-01-02T00:00:00Z,false,,\n',
    );
    const { schema: inferred, rows } = await read(csv);
    expect(inferred.map(({ type }) => type)).toEqual(['INT64', 'FLOAT64', 'TIMESTAMP', 'BOOL', 'STRING', 'STRING']);
    expect(rows[1]).toEqual([2n, 2, Date.UTC(2026, 0, 2), false, null, null]);
    const ndjson = text('inferred.jsonl', '{"id":9007199254740993,"tags":[1]}\n\n{"id":2,"more":"x"}\n');
    expect((await read(ndjson)).rows).toEqual([
      [9007199254740993n, [1n], null],
      [2n, null, 'x'],
    ]);
  });

  test.each([
    ['ragged.csv', 'a,b\n1,2\n3\n', 'row 2 has 1 cells, the header has 2'],
    ['broken.csv', 'a,b\n1,"2\n', 'is not valid CSV'],
    ['empty.csv', '', 'is empty'],
    ['twice.csv', 'a,a\n1,2\n', 'has the column a twice'],
    ['type.csv', 'a,b\n1,2\nx,3\n', 'row 2, column a is INT64'],
    ['broken.ndjson', '{"a":1,"b":2}\n{"a":\n', 'line 2 is not a JSON object'],
    ['broken.parquet', 'PAR1 no', 'is not a Parquet file'],
    ['broken.arrow', 'ARROW1 no', 'is not an Arrow file'],
  ])('that is unusable, %s, is refused: %#', async (name, content, message) => {
    const columns: TableColumn[] = [
      { name: 'a', type: 'INT64' },
      { name: 'b', type: 'INT64' },
    ];
    await expect(read(text(name, content), columns)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining(message),
    });
  });

  test('of no known format, or that is not there, is refused', async () => {
    await expect(read(text('x.docx', ''))).rejects.toMatchObject({
      message: expect.stringContaining('csv, ndjson, parquet, arrow'),
    });
    await expect(read(join(folder, 'nowhere.csv'))).rejects.toMatchObject({ message: 'there is no file nowhere.csv' });
    expect(['a.CSV', 'a.jsonl', 'a.feather', 'a.pq'].map(formatOfName)).toEqual(['csv', 'ndjson', 'arrow', 'parquet']);
  });
});
