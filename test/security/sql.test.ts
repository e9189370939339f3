/** SQL that users write, as an attacker would write it: through every API that takes some. */
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { scaled } from '../harness/time-factor.js';
import { apply, ask, post } from '../system/graphql-door.js';
import { type AttackedServer, serverForms, startAttackedServer } from './attacked-server.js';

const run = promisify(execFile);
const MAIN = resolve('dist/main.js');
const CHECK =
  'mutation ($input: SourceCheckInput!) { checkSource(input: $input) { sampled findings { code message } } }';
const SCHEMA = { k: 'STRING', v: 'FLOAT64', at: 'TIMESTAMP' };

type Refusal = { code: string; field?: string; message: string };

describe.each(serverForms.filter(([, { fastLane }]) => fastLane))('SQL of users on %s', (_, form) => {
  let server: AttackedServer;
  /** A file that a program of an attack would create. */
  let proof: string;
  let script: string;

  beforeAll(async () => {
    server = await startAttackedServer(form, { FSTORE_SQL_TIMEOUT: '3s' });
    proof = join(tmpdir(), `${server.platform.project}.proof`);
    script = `SELECT 'a' AS k, 1.0 AS v, now() AS at) AS rows; COMMIT; COPY (SELECT 1) TO PROGRAM 'touch ${proof}'; --`;
  }, 90_000);
  afterAll(async () => {
    expect(existsSync(proof)).toBe(false);
    await server?.close();
  }, 60_000);

  const refusal = async (document: string, variables: Record<string, unknown>): Promise<Refusal> => {
    const { errors = [], data } = await post(server.url, document, variables);
    const [first] = errors;
    if (!first) throw new Error(`it was answered: ${JSON.stringify(data)}`);
    return { ...first.extensions, message: first.message };
  };
  const check = (input: Record<string, unknown>) => refusal(CHECK, { input });
  const source = (name: string, batch: Record<string, unknown>) => [
    { kind: 'source', name, schema: SCHEMA, timestamp: 'at', batch },
  ];

  test('a check of a query, a table or definitions runs one SELECT and no program', async () => {
    expect(await check({ query: script })).toMatchObject({ code: 'SOURCE_UNREADABLE' });
    expect(await check({ table: `a"; COPY (SELECT 1) TO PROGRAM 'touch ${proof}'; --` })).toMatchObject({
      code: 'SOURCE_UNREADABLE',
    });
    const { checkSource } = await ask<{ checkSource: { sampled: number; findings: { code: string }[] }[] }>(
      server.url,
      CHECK,
      { input: { definitions: source('planned', { query: script }) } },
    );
    expect(checkSource[0]).toMatchObject({ sampled: 0 });
    expect(existsSync(proof)).toBe(false);
  });

  test('materialization, a spine and the command line run one SELECT and no program', async () => {
    await apply(server.url, [
      { kind: 'entity', name: 'thing', joinKeys: [{ name: 'k', type: 'STRING' }] },
      ...source('attack', { query: script }),
      { kind: 'featureView', name: 'attacked', entity: 'thing', source: 'attack', features: ['v'] },
      { kind: 'featureService', name: 'attacks', features: ['attacked'] },
    ]);
    const options = { env: { ...process.env, FSTORE_URL: server.url, NODE_OPTIONS: '' } };
    const command = (...args: string[]) =>
      run(process.execPath, [MAIN, ...args], options).then(
        () => 'done',
        ({ stderr }: { stderr: string }) => stderr,
      );
    const [materialized, checked] = await Promise.all([
      command('materialize', 'attack'),
      command('sources', 'check', '--query', script),
    ]);
    expect(materialized).toMatch(/BAD_REQUEST.*semicolon/s);
    expect(checked).toMatch(/SOURCE_UNREADABLE.*semicolon/s);
    const spine = 'mutation ($input: TrainingSetInput!) { createTrainingSet(input: $input) }';
    expect(await refusal(spine, { input: { service: 'attacks', sql: script } })).toMatchObject({ code: 'BAD_REQUEST' });
    expect(existsSync(proof)).toBe(false);
  }, 60_000);

  test('a query reads neither files nor passwords nor tables of FStore, and no error quotes what it has read', async () => {
    for (const query of [
      "SELECT pg_read_file('/etc/passwd')::int",
      'SELECT passwd::int FROM pg_shadow',
      "SELECT pg_ls_dir('.')::int",
      `SELECT payload FROM fstore_${server.platform.project}.event_log`,
      "SELECT query_to_xml('TABLE pg_authid', false, false, '')",
      'SELECT current_setting($$data_directory$$)::int',
      'SELECT (rolname::text)::int FROM pg_roles',
      'SELECT rolname::text::regclass FROM pg_roles',
    ]) {
      const { code, message } = await check({ query });
      expect(code).toBe('SOURCE_UNREADABLE');
      expect(message).not.toMatch(/root:|SCRAM|base\b|\/data|"pg_|"fstore/);
    }
    for (const table of ['pg_authid', 'pg_catalog.pg_authid', `fstore_${server.platform.project}.event_log`]) {
      expect(await check({ table })).toMatchObject({ code: 'SOURCE_UNREADABLE' });
    }
  });

  test('a query writes nothing, in whatever part of it', async () => {
    for (const query of [
      'WITH a AS (CREATE TABLE x (a int)) SELECT 1',
      'SELECT 1 INTO x',
      "SELECT setval('x', 1)",
      'SELECT pg_reload_conf()',
    ]) {
      expect(await check({ query })).toMatchObject({ code: 'SOURCE_UNREADABLE' });
    }
  });

  test('a slow query ends by its limit, with a code of its own, and holds up no other check', async () => {
    const slow = ['SELECT pg_sleep(75)', "SELECT set_config('statement_timeout', '0', false), pg_sleep(75)"];
    const ending = Promise.all(slow.map((query) => check({ query })));
    const begun = performance.now();
    const { checkSource } = await ask<{ checkSource: { sampled: number }[] }>(server.url, CHECK, {
      input: { query: "SELECT 'a' AS k, now() AS at; -- the only one" },
    });
    expect(checkSource[0]?.sampled).toBe(1);
    expect(performance.now() - begun).toBeLessThan(2_500 + scaled(500));
    for (const one of await ending) {
      expect(one).toMatchObject({ code: 'QUERY_TIMEOUT', message: 'the query was cancelled after 3 s' });
    }
  }, 60_000);

  test('a GET does not run a check', async () => {
    const document = encodeURIComponent(`mutation { checkSource(input: { query: "SELECT 1" }) { sampled } }`);
    const answer = await fetch(`${server.url}/graphql?query=${document}`, {
      headers: { 'apollo-require-preflight': 'true' },
    });
    expect(answer.ok).toBe(false);
    const query = await post(server.url, '{ checkSource(input: { query: "SELECT 1" }) { sampled } }');
    expect(JSON.stringify(query)).toContain('GRAPHQL_VALIDATION_FAILED');
  });

  test('an illegal topic, a text with U+0000 and names of system columns are mistakes of the client', async () => {
    for (const topic of ['x\u0000', 'a b', '../x', '', 'a'.repeat(201), 'ä']) {
      expect(await check({ topic })).toMatchObject({ code: 'BAD_REQUEST', field: 'topic' });
    }
    expect(await check({ query: 'SELECT 1\u0000' })).toMatchObject({ code: 'SOURCE_UNREADABLE' });
    expect(await check({ table: 'a\u0000' })).toMatchObject({ code: 'SOURCE_UNREADABLE' });
    const letters = 'query ($source: String) { deadLetters(source: $source) { id } }';
    const found = JSON.stringify(await post(server.url, letters, { source: 'x\u0000' }));
    expect(found).not.toMatch(/INTERNAL|UNAVAILABLE/);
    const plan = 'mutation ($input: DefinitionsInput!) { applyDefinitions(input: $input) { revision } }';
    for (const name of ['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']) {
      const view = { kind: 'featureView', name: 'odd', entity: 'thing', source: 'attack' };
      for (const [definition, field] of [
        [{ ...view, features: [name] }, 'features.0'],
        [{ ...view, features: [{ name, column: 'v' }] }, 'features.0.name'],
        [{ kind: 'entity', name: 'odd', joinKeys: [{ name, type: 'STRING' }] }, 'joinKeys.0.name'],
        [
          { kind: 'source', name: 'odd', schema: { ...SCHEMA, [name]: 'STRING' }, timestamp: 'at', stream: {} },
          `schema.${name}`,
        ],
      ] as const) {
        const error = await refusal(plan, { input: { definitions: [definition] } });
        expect(error).toMatchObject({ code: 'DEFINITION_INVALID', field });
        expect(error.message).toContain('system column of PostgreSQL');
      }
    }
  });
});

describe('SQL of users where it is switched off, or where there is no read login', () => {
  test.each([
    ['FSTORE_SQL_QUERIES=false', { FSTORE_SQL_QUERIES: 'false' }],
    ['no read login', { FSTORE_POSTGRES_READ_URL: '' }],
  ])(
    'is refused by each API: %s',
    async (_, environment) => {
      const server = await startAttackedServer(
        { platform: 'servers', fastLane: true },
        { ...environment, FSTORE_OPERATIONS: 'registered' },
      );
      try {
        const options = { env: { ...process.env, FSTORE_URL: server.url, NODE_OPTIONS: '' } };
        const file = join(server.platform.folder, 'off.yaml');
        writeFileSync(
          file,
          JSON.stringify({ kind: 'source', name: 'off', schema: SCHEMA, timestamp: 'at', batch: { table: 'x' } }),
        );
        for (const args of [
          ['sources', 'check', '--query', 'SELECT 1'],
          ['sources', 'check', '--table', 'pg_class'],
          ['sources', 'check', file],
          ['apply', file],
        ]) {
          const { stderr = 'it was answered' } = await run(process.execPath, [MAIN, ...args], options).then(
            () => ({}) as { stderr?: string },
            (error: { stderr: string }) => error,
          );
          expect(stderr).toContain('SQL_QUERIES_OFF');
        }
      } finally {
        await server.close();
      }
    },
    90_000,
  );
});
