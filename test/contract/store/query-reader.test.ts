/** SELECTs of users: what of a text runs, as whom, for how long, and what is told of its errors. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { QueryOptions, QueryReader } from '../../../src/store/query-reader.js';
import { createPostgresQueryReader } from '../../../src/store/query-reader-postgres.js';
import { eventually } from '../../harness/eventually.js';
import { createTestDatabase, type TestDatabase } from '../../harness/test-servers.js';
import { scaled } from '../../harness/time-factor.js';

let database: TestDatabase;
let admin: pg.Pool;
let reader: QueryReader;

beforeAll(async () => {
  database = await createTestDatabase();
  admin = new pg.Pool({ connectionString: database.url, max: 4 });
  reader = createPostgresQueryReader({ url: database.readUrl, timeout: 30_000 });
  await admin.query(`
    CREATE TABLE secrets (word text, n integer);
    INSERT INTO secrets SELECT 'word-' || n, n FROM generate_series(1, 12000) AS n;
    CREATE SCHEMA fstore_own;
    CREATE TABLE fstore_own.event_log (payload text);`);
});
afterAll(async () => {
  await admin?.end();
  await database?.drop();
});

const rowsOf = async (query: string, options: QueryOptions = {}, on = reader) => {
  const rows: unknown[][] = [];
  let names: string[] = [];
  await on.read(query, options, async ({ schema, batches }) => {
    names = schema.map(({ name, type }) => `${name} ${type}`);
    for await (const batch of batches) for (const row of batch) rows.push([...row]);
  });
  return { names, rows };
};
const failure = async (query: string, options: QueryOptions = {}, on = reader) => {
  const error = await rowsOf(query, options, on).catch((one: unknown) => one);
  return error as { code: string; message: string; location: { field?: string } };
};
/** Sessions of the read login in this database. */
const sessions = async () => {
  const text = 'SELECT state, query FROM pg_stat_activity WHERE datname = $1 AND usename = $2';
  return (await admin.query<{ state: string }>(text, [database.name, `${database.name}_read`])).rows;
};

describe('a query', () => {
  test('gives its rows in pages, with their types', async () => {
    const { names, rows } = await rowsOf('SELECT n, word, n / 2.0 AS half FROM secrets ORDER BY n');
    expect(names).toEqual(['n INT32', 'word STRING', 'half FLOAT64']);
    expect(rows).toHaveLength(12_000);
    expect(rows.at(-1)).toEqual([12_000, 'word-12000', 6_000]);
    expect((await rowsOf('SELECT n FROM secrets ORDER BY n', { rows: 300 })).rows).toHaveLength(300);
    expect((await rowsOf('SELECT repeat(chr(97), 100000) FROM generate_series(1, 400)')).rows).toHaveLength(400);
  });

  test('may be any SELECT, in brackets, behind and before comments and semicolons', async () => {
    const texts = [
      "-- first\n/* a /* nested ; */ comment */ (SELECT ';--', 1) ; -- last ; comment",
      'WITH one AS (VALUES (1)) TABLE one;;',
      'VALUES (1), (2) /* open at no end */',
      "SELECT $q$; DROP TABLE secrets; $q$, E'\\'; --', U&'\\0041' -- no line behind",
      'SELECT 1 AS "a"";--"',
    ];
    for (const text of texts) {
      const { rows } = await rowsOf(text);
      expect(rows.length).toBeGreaterThan(0);
    }
    const columns = [{ name: 'b', type: 'INT64' as const }];
    const ordered = await rowsOf('SELECT n AS a, -n AS b FROM secrets WHERE n < 4; -- all', { columns, order: ['b'] });
    expect(ordered).toEqual({ names: ['b INT64'], rows: [[-3n], [-2n], [-1n]] });
  });

  test('reads the columns that are wanted, and says which is missing, twice there or of another type', async () => {
    const want = (name: string, type: 'FLOAT64' | 'STRING' | 'INT32') => ({ columns: [{ name, type }] });
    expect((await rowsOf('SELECT n, word FROM secrets LIMIT 1', want('word', 'STRING'))).rows).toEqual([['word-1']]);
    expect(await failure('SELECT 1 AS a', want('b', 'INT32'))).toMatchObject({
      code: 'BAD_REQUEST',
      message: 'the query has no column b',
    });
    expect((await failure('SELECT 1 AS a, 2 AS a', want('a', 'INT32'))).message).toBe('the query has 2 columns a');
    const other = await failure('SELECT word AS a FROM secrets', want('a', 'FLOAT64'));
    expect(other).toMatchObject({ code: 'BAD_REQUEST', location: { field: 'a' } });
    expect(other.message).not.toContain('word-');
    const infinite = await failure("SELECT 'infinity'::timestamptz AS at");
    expect(infinite).toMatchObject({ code: 'BAD_REQUEST', message: expect.stringContaining('row 1, column at') });
  });
});

describe('a text that is not one SELECT', () => {
  const refused = [
    ["SELECT 1 AS a) AS rows; COMMIT; COPY (SELECT 1) TO PROGRAM 'touch /tmp/never'; --", /semicolon/],
    ['SELECT 1; SELECT 2', /semicolon/],
    ['SELECT 1 AS a) AS rows --', /syntax error/],
    ['SELECT 1 /* ; */ ; /* */ NOTIFY x', /semicolon/],
    ['EXPLAIN ANALYZE SELECT 1', /begins with SELECT/],
    ['COMMIT', /begins with SELECT/],
    ['', /begins with SELECT/],
    ['-- SELECT 1', /begins with SELECT/],
    ['SELECT 1\u0000', /U\+0000/],
    ["SELECT 'open", /unterminated/],
    ['SELECT /* open', /no columns/],
    ['SELECT $a$ open', /unterminated/],
    [`SELECT ${'('.repeat(60_000)}1`, /PostgreSQL refuses/],
    [`SELECT '${'a'.repeat(100_000)}'`, /at most 100000 characters/],
    ['SELECT 1 INTO gone', /no columns/],
    ['WITH gone AS (INSERT INTO secrets VALUES (1) RETURNING *) SELECT * FROM gone', /permission denied|it writes/],
    ['WITH one AS (SELECT 1) DELETE FROM secrets RETURNING *', /permission denied|it writes/],
    ['SELECT * FROM secrets FOR UPDATE', /permission denied|it writes/],
    ['SELECT', /no columns/],
    ['SELECT $1::integer', /parameter such as \$1/],
  ] as const;

  test.each(refused.map(([text, reason]) => [text.slice(0, 80), text, reason] as const))(
    'is refused: %j',
    async (_, text, reason) => {
      for (const options of [{}, { rows: 1 }, { order: ['a'] }]) {
        const error = await failure(text, options);
        expect(error).toMatchObject({ code: 'BAD_REQUEST' });
        if (!('order' in options)) expect(error.message).toMatch(reason);
      }
      expect((await admin.query('SELECT count(*)::int AS n FROM secrets')).rows).toEqual([{ n: 12_000 }]);
    },
  );

  test('names the place of an error in its own lines, also where it is put in order', async () => {
    for (const options of [{}, { order: ['n'] }]) {
      const { message } = await failure('SELECT n\nFROM secrets\nWHERE nobody = 1', options);
      expect(message).toBe('PostgreSQL refuses the query: column "nobody" does not exist, at line 3, column 7');
    }
  });
});

describe('what a query may read', () => {
  test.each([
    ['SELECT payload FROM fstore_own.event_log', 'permission denied for schema fstore_own'],
    ["SELECT pg_read_file('/etc/passwd')::int", 'permission denied for function pg_read_file'],
    ['SELECT passwd FROM pg_shadow', 'permission denied for view pg_shadow'],
    ['TABLE pg_authid', 'permission denied for table pg_authid'],
    ["SELECT lo_import('/etc/passwd')", 'permission denied for function lo_import'],
    ["SELECT * FROM pg_ls_dir('/')", 'permission denied for function pg_ls_dir'],
    ["SELECT set_config('role', 'fstore', false)", 'the read login may not do this (SQLSTATE 42501)'],
  ])('does not include %s', async (text, reason) => {
    const error = await failure(text);
    expect(error.code).toBe('BAD_REQUEST');
    expect(error.message).toContain(reason);
  });

  test.each([
    'SELECT word::int FROM secrets',
    'SELECT word::regclass FROM secrets',
    'SELECT word::regrole FROM secrets',
    "SELECT set_config(word, '', true) FROM secrets",
    "SELECT query_to_xml('SELECT ' || word, false, false, '') FROM secrets",
    "SELECT to_timestamp(word, 'YYYY') FROM secrets",
    'SELECT has_table_privilege(word, $$select$$) FROM secrets',
    'SELECT word::jsonb FROM secrets',
    'SELECT n FROM secrets WHERE word::int = 1 AND n = (SELECT n FROM secrets)',
  ])('does not come out in the error of %s', async (text) => {
    for (const options of [{}, { rows: 5 }, { order: ['n'] }]) {
      const error = await failure(text, options);
      expect(error.code).toBe('BAD_REQUEST');
      expect(`${error.message} ${JSON.stringify(error)}`).not.toMatch(/word-/);
    }
  });

  test('is not changed by what a text does to its session', async () => {
    const listener = await admin.connect();
    const heard: unknown[] = [];
    listener.on('notification', (one) => heard.push(one));
    await listener.query('LISTEN attack');
    await rowsOf("SELECT pg_notify('attack', 'x'), pg_advisory_lock(77), set_config('search_path', 'x', false)");
    await rowsOf("SELECT set_config('default_transaction_read_only', 'off', false), set_config('jit', 'on', false)");
    expect((await rowsOf('SELECT n FROM secrets WHERE n = 1')).rows).toEqual([[1]]);
    await eventually(async () => expect(await sessions()).toEqual([]), { timeoutMs: scaled(5_000) });
    expect((await listener.query('SELECT pg_try_advisory_lock(77) AS free')).rows).toEqual([{ free: true }]);
    await listener.query('SELECT pg_advisory_unlock_all()');
    expect(heard).toEqual([]);
    listener.release(true);
  });
});

describe('the time limit of a query', () => {
  const hasty = () => createPostgresQueryReader({ url: database.readUrl, timeout: 300 });
  const ended = { code: 'QUERY_TIMEOUT', message: 'the query was cancelled after 0.3 s' };

  test.each([
    ['one slow statement', 'SELECT pg_sleep(60)', {}],
    ['a statement that computes', 'SELECT count(*) FROM generate_series(1, 100000000000) AS n', {}],
    ['one that is put in order', 'SELECT pg_sleep(60), 1 AS n', { order: ['n'] }],
    ['one that lifts the limit', "SELECT set_config('statement_timeout', '0', false), pg_sleep(60)", {}],
    [
      'one that lifts the limit on its first page',
      "SELECT set_config('statement_timeout', '0', false), CASE WHEN n > 500 THEN pg_sleep(60) END FROM generate_series(1, 600) AS n",
      {},
    ],
    [
      'one that gives a row now and then, of a check',
      'SELECT pg_sleep(0.001), n FROM generate_series(1, 9000) AS n',
      { rows: 9_000 },
    ],
  ] as const)('ends %s', async (_, text, options) => {
    const begun = performance.now();
    expect(await failure(text, options, hasty())).toMatchObject(ended);
    expect(performance.now() - begun).toBeLessThan(scaled(5_000));
    await eventually(async () => expect(await sessions()).toEqual([]), { timeoutMs: scaled(5_000) });
  });

  test('holds for each page of a query whose rows have no bound', async () => {
    const text = `SELECT CASE WHEN n IN (100, 300, 5300) THEN pg_sleep(0.9) END FROM generate_series(1, 6000) AS n`;
    const reader = createPostgresQueryReader({ url: database.readUrl, timeout: 1_500 });
    expect((await rowsOf(text, {}, reader)).rows).toHaveLength(6_000);
  });
});

describe('what a query may cost', () => {
  test('is bounded in bytes, for a single row too', async () => {
    const text = "SELECT repeat('a', 80000000)";
    expect(await failure(text)).toMatchObject({ code: 'BAD_REQUEST', message: expect.stringContaining('too large') });
  });
});

describe('a read login that PostgreSQL does not let in', () => {
  test('is told with its SQLSTATE, and without its password', async () => {
    const url = new URL(database.readUrl);
    url.username = 'nobody_at_all';
    url.password = 'hunter2';
    const error = await failure('SELECT 1', {}, createPostgresQueryReader({ url: url.href, timeout: 1_000 }));
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/read login.*28000/) });
    expect(error.message).not.toContain('hunter2');
    const gone = createPostgresQueryReader({ url: 'postgres://a:hunter2@127.0.0.1:1/a', timeout: 1_000 });
    expect(await failure('SELECT 1', {}, gone)).toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });
});
