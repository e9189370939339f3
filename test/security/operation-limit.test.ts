/** Operations beyond a limit are refused alike on every transport, cold and warm, and hold up nobody else. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { eventually } from '../harness/eventually.js';
import { scaled } from '../harness/time-factor.js';
import { apply, post, push } from '../system/graphql-door.js';
import { type AttackedServer, maxStallMs, serverForms, startAttackedServer, watchStall } from './attacked-server.js';

const definitions = [
  {
    kind: 'entity',
    name: 'user',
    joinKeys: [{ name: 'user_id', type: 'STRING' }],
    graphql: { type: 'User', key: 'id' },
  },
  {
    kind: 'source',
    name: 'events',
    timestamp: 'event_time',
    schema: { user_id: 'STRING', amount: 'FLOAT64', event_time: 'TIMESTAMP' },
    stream: {},
  },
  { kind: 'featureView', name: 'last', entity: 'user', source: 'events', features: ['amount'] },
  { kind: 'featureService', name: 'vector', features: ['last'] },
];

const repeat = (count: number, item: (index: number) => string, separator = ' '): string =>
  Array.from({ length: count }, (_, index) => item(index)).join(separator);
const lists = (depth: number, inside = '"u1"'): string => '['.repeat(depth) + inside + ']'.repeat(depth);
const objects = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `u${index % 7}`);
const representations = (count: number): object[] => ids(count).map((id) => ({ __typename: 'User', id }));
const aliases = (count: number): string => repeat(count, (index) => `a${index}: __typename`);

interface Raw {
  readonly status: number;
  readonly body: string;
}

type Transport = 'POST' | 'GET' | 'SSE';

/** The parameters of a GET; the variables keep their text, because JSON.stringify cannot write deep ones. */
function searchOf(body: string): string {
  const [, query = '', variables] = /^\{"query":("(?:[^"\\]|\\.)*")(?:,"variables":(.*))?\}$/s.exec(body) ?? [];
  return `${new URLSearchParams({ query: JSON.parse(query), ...(variables ? { variables } : {}) })}`;
}

/** Sends a body as it is written, or the same by GET, or to the address of server-sent events. */
async function send(url: string, body: string, transport: Transport = 'POST'): Promise<Raw> {
  if (transport === 'GET') {
    const response = await fetch(`${url}/graphql?${searchOf(body)}`, {
      headers: { 'apollo-require-preflight': 'true' },
    });
    return { status: response.status, body: await response.text() };
  }
  const isStream = transport === 'SSE';
  const response = await fetch(`${url}${isStream ? '/graphql/stream' : '/graphql'}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: isStream ? 'text/event-stream' : 'application/json',
    },
    body,
  });
  return { status: response.status, body: await response.text() };
}

const bodyOf = (query: string, variables?: string): string =>
  `{"query":${JSON.stringify(query)}${variables === undefined ? '' : `,"variables":${variables}`}}`;
const codeIn = (body: string): string => /"code":"([A-Z_]+)"/.exec(body)?.[1] ?? 'none';

/** Sends one body three times; fails if the answers differ. */
async function sendThrice(url: string, body: string): Promise<Raw> {
  const first = await send(url, body);
  for (const _ of [2, 3]) expect(await send(url, body)).toEqual(first);
  return first;
}

describe.each(serverForms)('%s', (_, form) => {
  let server: AttackedServer;
  let url: string;
  let socket: Client;
  const closes: unknown[] = [];
  const updates: string[] = [];

  /** Runs an operation over the WebSocket that all tests share. Resolves to its result, or to its errors. */
  const run = (query: string, variables?: Record<string, unknown>): Promise<string> =>
    new Promise((resolve) => {
      const results: unknown[] = [];
      socket.subscribe(
        { query, ...(variables ? { variables } : {}) },
        {
          next: (value) => results.push(value),
          error: (error) => resolve(Array.isArray(error) ? JSON.stringify(error) : 'CLOSED'),
          complete: () => resolve(JSON.stringify(results)),
        },
      );
    });

  /** The same with variables as they are written, over a connection of its own. Resolves to the answer. */
  const runRaw = async (query: string, variables = '{}'): Promise<string> => {
    const own = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    const answer = new Promise<string>((resolve) => {
      own.on('close', (code) => resolve(`"code":"CLOSED_${code}"`));
      own.on('error', () => {});
      own.on('message', (data) => {
        const text = String(data);
        if (text.includes('connection_ack'))
          own.send(`{"id":"1","type":"subscribe","payload":${bodyOf(query, variables)}}`);
        else resolve(text);
      });
    });
    own.on('open', () => own.send('{"type":"connection_init"}'));
    const text = await answer;
    const isOpen = own.readyState === WebSocket.OPEN;
    own.terminate();
    return isOpen ? text : `"code":"CLOSED" ${text}`;
  };

  beforeAll(async () => {
    server = await startAttackedServer(form);
    url = server.url;
    await apply(url, definitions);
    await push(url, 'events', [{ user_id: 'u1', amount: 1.5, event_time: new Date(Date.now() - 1_000).toISOString() }]);
    await eventually(async () =>
      expect(await post(url, '{ user(id: "u1") { last { amount } } }')).toMatchObject({
        data: { user: { last: { amount: 1.5 } } },
      }),
    );
    socket = createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      lazy: false,
      retryAttempts: 0,
      on: { closed: (event) => closes.push(event) },
      onNonLazyError: () => {},
    });
    socket.subscribe(
      { query: 'subscription { lastUpdated(ids: ["live"]) { last { amount } } }' },
      {
        next: (value) => updates.push(JSON.stringify(value)),
        error: (error) => closes.push(error),
        complete: () => {},
      },
    );
  });
  afterAll(async () => {
    await socket?.dispose();
    await server?.close();
  });

  /** Sends an operation over all four transports; returns their codes. Nothing may be answered 5xx or be held up. */
  const codesOf = async (query: string, variables?: string): Promise<string[]> => {
    const body = bodyOf(query, variables);
    const { result, stallMs } = await watchStall(url, async () => {
      const answers = [await sendThrice(url, body), await send(url, body, 'SSE')];
      // By GET, an operation has the room of the headers.
      if (searchOf(body).length < 14_000) answers.push(await send(url, body, 'GET'));
      for (const { status, body: text } of answers) if (status >= 500) throw new Error(text.slice(0, 300));
      return [...answers.map(({ body: text }) => codeIn(text)), codeIn(await runRaw(query, variables))];
    });
    expect(stallMs).toBeLessThan(maxStallMs());
    return [...new Set(result)];
  };

  test.each([
    ['lists 2,400 deep', `{ user(id: ${lists(2_400)}) { id } }`],
    ['lists 3,600 deep', `{ user(id: ${lists(3_600)}) { id } }`],
    ['lists 4,990 deep', `{ user(id: ${lists(4_990)}) { id } }`],
    ['objects 2,400 deep', `{ user(id: ${objects(2_400).replaceAll('"', '')}) { id } }`],
    ['lists that do not end', `{ user(id: ${'['.repeat(4_990)}`],
    ['a default 4,900 deep', `query($id: ID = ${lists(4_900)}) { user(id: $id) { id } }`],
    ['a type of a variable 4,900 deep', `query($id: ${lists(4_900, 'ID')}) { user(id: $id) { id } }`],
    ['an argument of a directive 4,900 deep', `{ project { name @include(if: ${lists(4_900, 'true')}) } }`],
    ['fields 2,400 deep', `${'{a'.repeat(2_400)}${'}'.repeat(2_400)}`],
    ['inline fragments 2,000 deep', `{ ${'...{'.repeat(2_000)} __typename ${'}'.repeat(2_000)} }`],
  ])('%s are refused as too complex', async (_name, query) => {
    expect(await codesOf(query)).toEqual(['OPERATION_TOO_COMPLEX']);
  });

  test.each([
    ['lists 2,400 deep', 'query($ids: [ID!]!) { users(ids: $ids) { id } }', `{"ids":${lists(2_400)}}`],
    ['lists 4,990 deep', 'query($ids: [ID!]!) { users(ids: $ids) { id } }', `{"ids":${lists(4_990)}}`],
    ['objects 2,400 deep', 'query($id: ID!) { user(id: $id) { id } }', `{"id":${objects(2_400)}}`],
    [
      'members of representations 4,000 deep',
      'query($all: [_Any!]!) { _entities(representations: $all) { __typename } }',
      `{"all":[{"__typename":"User","id":"u1","x":${lists(4_000)}}]}`,
    ],
    ['a variable that nobody declares, 3,000 deep', '{ user(id: "u1") { id } }', `{"x":${lists(3_000)}}`],
  ])('variables with %s are refused as too complex', async (_name, query, variables) => {
    expect(await codesOf(query, variables)).toEqual(['OPERATION_TOO_COMPLEX']);
  });

  test('brackets in strings, block strings and comments are not nested values', async () => {
    const deep = '['.repeat(300);
    expect(await codesOf(`{ user(id: "${deep}") { id } } # ${deep}`)).toEqual(['none']);
    expect(await codesOf(`{ user(id: """\\""" ${deep} "quoted" """) { id } }`)).toEqual(['none']);
  });

  const nested = (levels: number): string =>
    `{ ...F0 } ${repeat(levels, (n) => `fragment F${n} on Query { ${n + 1 < levels ? `a${n}: project { ...P } ...F${n + 1}` : aliases(50)} }`)} fragment P on Project { ${aliases(50)} }`;
  test.each([
    ['3,300 aliases of __typename', `{ ${aliases(3_300)} }`],
    ['101 aliases of __typename', `{ ${aliases(101)} }`],
    ['aliases in a fragment', `{ ...F } fragment F on Query { ${aliases(3_000)} }`],
    ['aliases in inline fragments', `{ ${repeat(110, (n) => `... on Query { a${n}: __typename }`)} }`],
    ['aliases in nested fragments that multiply', nested(4)],
    ['aliases of __typename in an entity', `{ user(id: "u1") { ${aliases(500)} } }`],
    [
      'aliases in _entities',
      `{ _entities(representations: [{ __typename: "User", id: "u1" }]) { ... on User { ${aliases(500)} } } }`,
    ],
  ])('%s are refused as too complex', async (_name, query) => {
    expect(await codesOf(query)).toEqual(['OPERATION_TOO_COMPLEX']);
  });

  test('as many aliases as are allowed are answered', async () => {
    expect(await codesOf(`{ ${aliases(100)} }`)).toEqual(['none']);
  });

  const vectorKeys = repeat(600, () => '{ userId: "u1" }');
  const users = (name: string, count: number): string =>
    `${name}: users(ids: ${JSON.stringify(ids(count))}) { last { amount } }`;
  test.each([
    [
      '100 aliases of 1,000 ids',
      `query($ids: [ID!]!) { ${repeat(100, (n) => `a${n}: users(ids: $ids) { id }`)} }`,
      { ids: ids(1_000) },
    ],
    ['two lists of 600 ids', `{ ${users('a', 600)} ${users('b', 600)} }`, {}],
    ['1,001 ids', 'query($ids: [ID!]!) { users(ids: $ids) { id } }', { ids: ids(1_001) }],
    ['1,000 ids and one more entity', `{ ${users('a', 1_000)} user(id: "u1") { id } }`, {}],
    [
      'two lists of representations',
      'query($all: [_Any!]!) { a: _entities(representations: $all) { __typename } b: _entities(representations: $all) { __typename } }',
      { all: representations(600) },
    ],
    [
      'two lists of vectors',
      `{ a: vectorList(keys: [${vectorKeys}]) { amount } b: vectorColumns(keys: [${vectorKeys}]) { amount } }`,
      {},
    ],
  ])('keys are counted for the whole operation: %s', async (_name, query, variables) => {
    expect(await codesOf(query, JSON.stringify(variables))).toEqual(['LIST_TOO_LONG']);
  });

  test('as many keys as are allowed are answered, and a subscription to more is refused', async () => {
    expect(await codesOf(`{ ${users('a', 600)} ${users('b', 400)} }`)).toEqual(['none']);
    const query = `subscription { lastUpdated(ids: ${JSON.stringify(ids(1_001))}) { id } }`;
    expect(codeIn((await send(url, bodyOf(query), 'SSE')).body)).toBe('LIST_TOO_LONG');
    expect(codeIn(await run(query))).toBe('LIST_TOO_LONG');
  });

  const list = (name: string): string => `query($${name}: [ID!]!) { users(ids: $${name}) { id last { amount } } }`;
  const any = 'query($all: [_Any!]!) { _entities(representations: $all) { ... on User { id last { amount } } } }';
  test.each([
    ['a variable __proto__', bodyOf(list('__proto__'), '{"__proto__":["u1"]}'), 400],
    ['a variable __proto__ with an escape', bodyOf(list('__proto__'), '{"\\u005f_proto__":["u1"]}'), 400],
    ['a member __proto__ beside the variables', bodyOf(list('ids'), '{"ids":["u1"],"__proto__":["u2"]}'), 400],
    ['a text as __proto__', bodyOf(any, '{"all":[{"__typename":"User","id":"u1","__proto__":"x"}]}'), 400],
    ['an object as __proto__', bodyOf(any, '{"all":[{"__typename":"User","id":"u1","__proto__":{"id":"u2"}}]}'), 400],
    ['an id in __proto__', bodyOf(any, '{"all":[{"__typename":"User","__proto__":{"id":"u2"}}]}'), 400],
    ['a variable constructor', bodyOf(list('constructor'), '{"constructor":["u1"]}'), 200],
    [
      'a constructor with a prototype',
      bodyOf(any, '{"all":[{"__typename":"User","id":"u1","constructor":{"prototype":{"id":"u2"}}}]}'),
      400,
    ],
    ['a text as constructor', bodyOf(any, '{"all":[{"__typename":"User","id":"u1","constructor":"x"}]}'), 200],
    ['a variable toString', bodyOf(list('toString'), '{"toString":["u1"]}'), 200],
    ['a variable toString that is not given', bodyOf(list('toString'), '{}'), 400],
    ['a variable hasOwnProperty', bodyOf(list('hasOwnProperty'), '{"hasOwnProperty":["u1"]}'), 200],
    ['a text as toString', bodyOf(any, '{"all":[{"__typename":"User","id":"u1","toString":"x"}]}'), 200],
    ['a type named toString', bodyOf(any, '{"all":[{"__typename":"toString","id":"u1"}]}'), 200],
    ['a list twice', bodyOf(list('ids'), '{"ids":["u2"],"ids":["u1"]}'), 200],
    ['a list and a text', bodyOf(list('ids'), '{"ids":["u2"],"ids":"u1"}'), 200],
    ['an id twice', bodyOf(any, '{"all":[{"__typename":"User","id":"u2","id":"u1"}]}'), 200],
    ['variables twice', `${bodyOf(list('ids'), '{"ids":["u2"]}').slice(0, -1)},"variables":{"ids":["u1"]}}`, 200],
    ['a query twice', `{"query":"{ a }",${bodyOf(list('ids'), '{"ids":["u1"]}').slice(1)}`, 200],
  ])('%s in a body is answered alike, cold and warm', async (_name, body, status) => {
    // A usual body first: the fast lane learns its frame.
    const usual = body.replace(/"variables":.*/s, '"variables":{}}');
    for (const _once of [1, 2]) expect((await send(url, usual)).status).toBe(400);
    const answer = await sendThrice(url, body);
    expect([answer.status, answer.body]).toEqual([status, expect.not.stringMatching(/INTERNAL|u2/)]);
  });

  const spreads = (count: number, each: number): string =>
    `{ ...F0 } ${repeat(count, (n) => `fragment F${n} on Query { ${repeat(each, (m) => `...F${(n + m + 1) % count}`)} }`)}`;
  const doubling = repeat(20, (n) => `fragment F${n} on Project { ...F${n + 1} ...F${n + 1} }`);
  test.each([
    ['one field 9,000 times', `{ user(id: "u1") { ${repeat(9_000, () => 'id')} } }`],
    ['one field with an argument 1,600 times', `{ ${repeat(1_600, () => 'user(id: "u1") { id }')} }`],
    ['one alias of 190 different fields', `{ ${repeat(190, (n) => `a: user(id: "u${n}") { id }`)} }`],
    ['one alias of 190 fields in fragments', `{ ${repeat(190, (n) => `...{ a: user(id: "u${n}") { id } }`)} }`],
    ['fragments that spread all others', spreads(90, 50)],
    [
      '150 fragments that overlap',
      `{ ${repeat(149, (n) => `...F${n}`)} } ${repeat(149, (n) => `fragment F${n} on Query { project { name } b${n}: __typename }`)}`,
    ],
    ['a fragment that spreads itself', '{ ...F } fragment F on Query { ...F }'],
    ['a cycle of 140 fragments', spreads(140, 1)],
    [
      'a cycle through fields',
      '{ project { ...F } } fragment F on Project { name ...G } fragment G on Project { ...F }',
    ],
    ['fragments that double 20 times', `{ project { ...F0 } } ${doubling} fragment F20 on Project { name }`],
    ['9,000 unknown fields', `{ ${repeat(9_000, (n) => `use${n}`)} }`],
    ['3,000 unknown arguments', `{ user(${repeat(3_000, (n) => `i${n}: 1`)}) { id } }`],
    ['2,000 variables', `query(${repeat(2_000, (n) => `$a${n}: ID`)}) { project { name } }`],
    ['1,900 variables of unknown types', `query(${repeat(1_900, (n) => `$a${n}: Use${n}`)}) { project { name } }`],
    ['3,000 directives', `{ project { name ${'@skip(if: false) '.repeat(1_500)} } }`],
    ['a list of 9,000 ids', `{ users(ids: [${repeat(9_000, (n) => `"u${n}"`)}]) { id } }`],
    ['more tokens than the limit', `{ ${repeat(100_000, () => 'a')} }`],
    ['a comment of 900 KB', `{ project { name } } #${'x'.repeat(900_000)}`],
    ['400 KB of quotes', `{ user(id: ${'"""'.repeat(133_000)}) { id } }`],
    ['a block string of 400 KB that does not end', `{ user(id: """${'\\"""'.repeat(100_000)}`],
  ])('%s end in an answer or a refusal, and hold up nobody', async (_name, query) => {
    const body = bodyOf(query);
    const { result, stallMs } = await watchStall(url, async () => {
      const answers = [await send(url, body), await send(url, body), await send(url, body, 'SSE')];
      return { answers, overSocket: await run(query) };
    });
    for (const { status, body: text } of result.answers)
      expect([status < 500, text.slice(0, 300)]).toEqual([true, expect.not.stringContaining('INTERNAL')]);
    expect(result.overSocket.slice(0, 300)).not.toMatch(/INTERNAL|CLOSED/);
    expect(stallMs).toBeLessThan(maxStallMs());
  });

  test('an apply with 300 operations of 14 KB that do not fit is refused soon', async () => {
    const register = (operations: readonly string[], name = 'client'): Promise<Raw> => {
      const query = 'mutation($input: DefinitionsInput!) { applyDefinitions(input: $input) { revision } }';
      const input = { definitions: [{ kind: 'consumer', name, operations }] };
      return send(url, bodyOf(query, JSON.stringify({ input })));
    };
    const isRefused = expect.stringMatching(/DEFINITION_INVALID.*operations\.\d+/s);
    const attacks = [
      Array.from({ length: 300 }, (_, n) => `{ ${repeat(2_000, (m) => `f${n}x${m}`).slice(0, 14_000)} }`),
      Array.from({ length: 300 }, (_, n) => `query Q${n} { ${repeat(3_500, () => 'a b').slice(0, 14_000)} }`),
      // These fit, and are too many.
      Array.from({ length: 300 }, (_, n) => `query Q${n} { users(ids: [${repeat(2_800, () => '"u1"')}]) { id } }`),
      Array.from({ length: 300 }, (_, n) => `query Q${n} { ${repeat(190, () => 'user(id: "u1") { id }')} }`),
    ];
    for (const operations of attacks) {
      const begun = performance.now();
      const { result, stallMs } = await watchStall(url, () => register(operations));
      expect(result.body).toEqual(isRefused);
      expect(performance.now() - begun).toBeLessThan(scaled(3_000));
      expect(stallMs).toBeLessThan(maxStallMs());
    }
    expect((await register(['{ project { name } }'])).body).toMatch(/"revision":\d+/);
  });

  test('after all of this the WebSocket is open, and its subscription gets values', async () => {
    const event = { user_id: 'live', amount: 7.25, event_time: new Date().toISOString() };
    expect(closes).toEqual([]);
    await push(url, 'events', [event]);
    await eventually(async () => expect(updates.join()).toContain('7.25'));
    expect(closes).toEqual([]);
  });
});
