/** The GraphQL over HTTP specification, by its own audit suite; and limits that hold on every door. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  buildClientSchema,
  buildSchema,
  getIntrospectionQuery,
  type IntrospectionQuery,
  lexicographicSortSchema,
  printSchema,
} from 'graphql';
import { serverAudits } from 'graphql-http';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { all } from '../unit/fakes/example-definitions.js';
import { apply, ask, post } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

let platform: Platform;
let fstore: FStoreProcess;
beforeAll(async () => {
  platform = await createPlatform('embedded');
  fstore = await platform.start();
  await apply(fstore.url, all);
});
afterAll(() => platform.drop());

describe('GraphQL over HTTP', () => {
  const audits = serverAudits({ url: () => `${fstore.url}/graphql` });
  test.each(audits.filter((audit) => audit.name.includes('MUST')).map((audit) => [audit.name, audit] as const))(
    '%s',
    async (_, audit) => {
      const result = await audit.fn();
      if (result.status === 'error') throw new Error(`${result.reason}`);
    },
  );

  test('no audit of any level ends in an error', async () => {
    const results = await Promise.all(audits.map(async (audit) => ({ name: audit.name, result: await audit.fn() })));
    expect(results.filter(({ result }) => result.status === 'error').map(({ name }) => name)).toEqual([]);
    expect(results.length).toBeGreaterThan(50);
  });
});

test('introspection and _service answer the same schema', async () => {
  const introspection = await ask<IntrospectionQuery>(fstore.url, getIntrospectionQuery({ specifiedByUrl: true }));
  const { _service } = await ask<{ _service: { sdl: string } }>(fstore.url, '{ _service { sdl } }');
  const normal = (text: string): string =>
    printSchema(lexicographicSortSchema(buildSchema(text)))
      .replace(/^directive @key.*\n\n?/gm, '')
      .replace(/ @key\(fields: "[^"]*"\)/g, '');
  const served = normal(
    _service.sdl.replace(/^extend schema .*$/m, 'directive @key(fields: String!) repeatable on OBJECT'),
  );
  const introspected = printSchema(lexicographicSortSchema(buildClientSchema(introspection)))
    .replace(/(?:"""[^"]*"""\n)?(?:scalar _Any|union _Entity = [^\n]*)\n\n/g, '')
    .replace(/type _Service \{[^}]*\}\n?\n?/g, '')
    .replace(/ {2}_entities\([^)]*\): \[_Entity\]!\n/g, '')
    .replace(/ {2}_service: _Service!\n/g, '');
  const lines = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');
  expect(lines(introspected)).toEqual(lines(served));
});

describe('limits', () => {
  const deep = `{ ${'user(id: "1") { '.repeat(1)}${'stats { ...F } '} } } fragment F on UserStats { amount }`;
  const bombs: [string, string, string][] = [
    [
      'an operation that is too deep',
      `{ ${'... on Query { '.repeat(40)}project { name }${' }'.repeat(40)} }`,
      'OPERATION_TOO_COMPLEX',
    ],
    [
      'introspection that multiplies',
      `{ __schema { types ${'{ fields { type '.repeat(6)}{ name }${' } }'.repeat(6)} } }`,
      '',
    ],
    [
      'too many aliases',
      `{ ${Array.from({ length: 200 }, (_, i) => `a${i}: project { name }`).join(' ')} }`,
      'OPERATION_TOO_COMPLEX',
    ],
    ['too many directives', `{ project { ${'name @skip(if: false) '.repeat(60)} } }`, 'OPERATION_TOO_COMPLEX'],
    ['too many tokens', `{ ${'project { name } '.repeat(4000)} }`, ''],
    ['a fragment that includes itself', '{ ...F } fragment F on Query { ...F }', ''],
    ['fragments in a circle', '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }', ''],
  ];
  test.each(bombs)('refuse %s over HTTP', async (_, query, code) => {
    const { status, errors, data } = await post(fstore.url, query);
    expect([status, data ?? null]).toEqual([400, null]);
    if (code) expect(errors?.[0]?.extensions.code).toBe(code);
  });

  test.each(bombs)('refuse %s over WebSocket', async (_, query) => {
    const client = createClient({
      url: `${fstore.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
    });
    await expect(
      new Promise((resolve, reject) => {
        client.subscribe({ query }, { next: resolve, error: reject, complete: () => resolve('complete') });
      }),
    ).rejects.toBeDefined();
    await client.dispose();
  });

  test('let an ordinary operation with a fragment through', async () => {
    expect((await post(fstore.url, deep)).errors).toBeUndefined();
  });
});
