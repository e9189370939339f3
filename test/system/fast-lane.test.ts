/** The fast lane at its door: beside a process without it, every request is answered alike, down to the bytes; and what is too much is refused. */
import { createHash } from 'node:crypto';
import { request as send } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../harness/eventually.js';
import { all } from '../unit/fakes/example-definitions.js';
import { apply, ask, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const KEY = 'a-key-of-this-test';
const HASH = createHash('sha256').update(KEY).digest('hex');
const time = new Date(Date.now() - 60_000).toISOString();

interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

interface Got {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

function call(url: string, { method = 'POST', path = '/graphql', headers = {}, body = '' }: Sent): Promise<Got> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const outgoing = send({
      hostname,
      port,
      path,
      method,
      headers: { 'content-type': 'application/json', ...headers },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const { date: _, 'x-request-id': id, ...shown } = response.headers;
        // An id that the server makes is another one for each request, and the fast lane makes none.
        const echoed = id !== undefined && id === headers['x-request-id'] ? { 'x-request-id': id } : {};
        resolve({
          status: response.statusCode ?? 0,
          headers: { ...shown, ...echoed },
          body: Buffer.concat(chunks).toString('utf8'),
        });
      });
    });
    outgoing.end(body);
  });
}

const operation = (query: unknown, variables?: unknown, more: Record<string, unknown> = {}): string =>
  JSON.stringify({ query, ...(variables === undefined ? {} : { variables }), ...more });

const USER = 'query U($id: ID!) { user(id: $id) { id stats { amount lastCountry eventTime status version } } }';
const USERS = 'query ($ids: [ID!]!) { users(ids: $ids) { __typename id stats { amount } } }';
const ENTITIES =
  'query ($r: [_Any!]!) { _entities(representations: $r) { __typename ... on User { stats { amount } } ... on Purchase { userId stats { amount } } } }';
const requests: readonly (readonly [name: string, sent: Sent])[] = [
  ['one entity', { body: operation(USER, { id: 'u1' }) }],
  ['an id of the request', { headers: { 'x-request-id': 'a-1' }, body: operation(USER, { id: 'u1' }) }],
  ['an odd id of the request', { headers: { 'x-request-id': 'a b' }, body: operation(USER, { id: 'u1' }) }],
  ['one that does not exist', { body: operation(USER, { id: 'nobody "ü"' }) }],
  ['a number for an id', { body: operation(USER, { id: 12 }) }],
  ['a fraction for an id', { body: operation(USER, { id: 1.5 }) }],
  ['null for an id', { body: operation(USER, { id: null }) }],
  ['no variables', { body: operation(USER) }],
  ['variables that are a list', { body: operation(USER, ['u1']) }],
  ['variables that are a text', { body: operation(USER, 'u1') }],
  ['an empty id', { body: operation(USER, { id: '' }) }],
  ['a long id', { body: operation(USER, { id: 'x'.repeat(600) }) }],
  ['an operation by name', { body: operation(USER, { id: 'u1' }, { operationName: 'U' }) }],
  ['an operation by a wrong name', { body: operation(USER, { id: 'u1' }, { operationName: 'V' }) }],
  ['an operation name that is a number', { body: operation(USER, { id: 'u1' }, { operationName: 1 }) }],
  ['extensions', { body: operation(USER, { id: 'u1' }, { extensions: { any: 1 } }) }],
  [
    'a persisted query',
    { body: operation(USER, { id: 'u1' }, { extensions: { persistedQuery: { version: 1, sha256Hash: 'x' } } }) },
  ],
  ['unknown fields beside the query', { body: operation(USER, { id: 'u1' }, { other: 1 }) }],
  ['a __proto__', { body: `{"query":${JSON.stringify(USER)},"variables":{"id":"u1","__proto__":{}}}` }],
  ['many entities', { body: operation(USERS, { ids: ['u1', 'nobody', 'u2', 'u1'] }) }],
  ['none', { body: operation(USERS, { ids: [] }) }],
  ['one for a list', { body: operation(USERS, { ids: 'u1' }) }],
  ['a null among many', { body: operation(USERS, { ids: ['u1', null] }) }],
  ['too many', { body: operation(USERS, { ids: Array.from({ length: 1_001 }, (_, index) => `u${index}`) }) }],
  [
    'representations',
    {
      body: operation(ENTITIES, {
        r: [
          { __typename: 'User', id: 'u1' },
          { __typename: 'Purchase', userId: 'u1', cardId: '1' },
        ],
      }),
    },
  ],
  [
    'a wrong representation',
    { body: operation(ENTITIES, { r: [{ __typename: 'User', id: 'u1' }, { __typename: 'Nobody' }] }) },
  ],
  [
    'a service',
    {
      body: operation(
        '{ fraud(userId: "u1", cardId: "1") { amount purchaseAmount statuses { feature status } serviceVersion } }',
      ),
    },
  ],
  ['a catalogue beside features', { body: operation('{ project { name } user(id: "u1") { id } }') }],
  ['an unknown field', { body: operation('{ user(id: "u1") { nothing } }') }],
  ['a syntax error', { body: operation('{ user(id: "u1") {') }],
  ['a mutation', { body: operation('mutation { nothing }') }],
  ['no query', { body: '{}' }],
  ['a query that is a number', { body: operation(1) }],
  ['a body that is no JSON', { body: '{"query":' }],
  ['an empty body', { body: '' }],
  ['a list of operations', { body: `[${operation(USER, { id: 'u1' })}]` }],
  ['null for a body', { body: 'null' }],
  ['bytes that are no UTF-8', { body: `{"query":"{ user(id: \\"\ufffd\\") { id } }"}` }],
  [
    'a content type with a charset',
    { headers: { 'content-type': 'application/json; charset=utf-8' }, body: operation(USER, { id: 'u1' }) },
  ],
  ['a content type of a form', { headers: { 'content-type': 'text/plain' }, body: operation(USER, { id: 'u1' }) }],
  ['GET', { method: 'GET', path: `/graphql?query=${encodeURIComponent('{ user(id: "u1") { id } }')}` }],
  ['a query string beside the body', { path: '/graphql?a=1', body: operation(USER, { id: 'u1' }) }],
  ...[
    '*/*',
    'application/json',
    'application/json, text/plain, */*',
    'application/json, */*',
    'application/graphql-response+json',
    'application/graphql-response+json, application/json',
    'application/graphql-response+json,application/json;q=0.9',
    'application/graphql-response+json, application/json;q=0.9',
    'multipart/mixed;subscriptionSpec=1.0, application/json',
    'text/html',
  ].map((accept) => [`accept: ${accept}`, { headers: { accept }, body: operation(USER, { id: 'u1' }) }] as const),
];

describe('the fast lane', () => {
  let platform: Platform;
  let fast: FStoreProcess;
  let plain: FStoreProcess;

  beforeAll(async () => {
    platform = await createPlatform('servers');
    [plain, fast] = await Promise.all([
      platform.start({ environment: { FSTORE_FAST_LANE: 'false' } }),
      platform.start({ arguments: ['serve', '--without-worker'] }),
    ]);
    await apply(plain.url, all);
    await push(plain.url, 'transactions', [
      { user_id: 'u1', card_id: 1, amount: 7.5, country: 'Łódź "x"', event_time: time },
      { user_id: 'u2', card_id: 1, amount: null, country: null, event_time: time },
    ]);
    await eventually(async () =>
      expect(await ask(fast.url, '{ user(id: "u1") { stats { amount } } }')).toEqual({
        user: { stats: { amount: 7.5 } },
      }),
    );
  });
  afterAll(() => platform.drop());

  const answeredFast = async (): Promise<number> => {
    const { body } = await call(fast.url, { method: 'GET', path: '/metrics' });
    return Number(/^fstore_plain_requests_total\{lane="fast"\} (\d+)$/m.exec(body)?.[1]);
  };

  test.each(requests)('answers %s as Apollo does', async (_, sent) => {
    const right = await call(plain.url, sent);
    // The second time a plan is made, the third time it is used again.
    for (let time_ = 1; time_ <= 3; time_ += 1) expect(await call(fast.url, sent)).toEqual(right);
  });

  test('has answered most of what is plain', async () => {
    const before = await answeredFast();
    for (let index = 0; index < 10; index += 1) await call(fast.url, { body: operation(USER, { id: `u${index}` }) });
    expect((await answeredFast()) - before).toBe(10);
  });

  test('lets in nobody whom the other door refuses', async () => {
    const guarded = await platform.start({
      arguments: ['serve', '--without-worker'],
      environment: { FSTORE_API_KEY_SHA256: HASH },
    });
    const body = operation(USER, { id: 'u1' });
    const right = await call(plain.url, { body });
    for (let index = 0; index < 3; index += 1) {
      expect((await call(guarded.url, { body })).status).toBe(401);
      expect((await call(guarded.url, { body, headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
      expect(await call(guarded.url, { body, headers: { authorization: `Bearer ${KEY}` } })).toEqual(right);
    }
    await guarded.process.stop();
  });

  test('serves what is applied, without a request answered by a plan of before', async () => {
    const query = operation('{ user(id: "u1") { stats { amount } } }');
    for (let index = 0; index < 3; index += 1) await call(fast.url, { body: query });
    await apply(fast.url, [{ ...all[3], features: ['amount', 'country'], ttl: '1s' }], { allowBreaking: true });
    expect((await call(fast.url, { body: operation('{ user(id: "u1") { stats { version } } }') })).body).toContain(
      '"version":2',
    );
    for (let index = 0; index < 3; index += 1) {
      expect((await call(fast.url, { body: query })).body).toBe('{"data":{"user":{"stats":{"amount":null}}}}\n');
    }
  });

  test('is bounded: beyond it requests are refused at once with 503, and the others are answered', async () => {
    const narrow = await platform.start({
      arguments: ['serve', '--without-worker'],
      environment: { FSTORE_MAX_IN_FLIGHT: '1' },
    });
    const ids = JSON.stringify(Array.from({ length: 500 }, (_, index) => `u${index}`));
    const body = operation(`{ users(ids: ${ids}) { stats(asOf: "2026-01-01T00:00:00Z") { status } } }`);
    const all_ = await Promise.all(Array.from({ length: 100 }, () => call(narrow.url, { body })));
    const [good, shed] = [all_.filter(({ status }) => status === 200), all_.filter(({ status }) => status === 503)];
    expect(good.length + shed.length).toBe(100);
    expect(good.length).toBeGreaterThan(0);
    expect(shed.length).toBeGreaterThan(0);
    expect(shed[0]!.headers['retry-after']).toBe('1');
    expect(JSON.parse(shed[0]!.body)).toMatchObject({ errors: [{ extensions: { code: 'OVERLOADED', status: 503 } }] });
    for (const { body: text } of good) expect(text).toBe(good[0]!.body);
    const { body: metrics } = await call(narrow.url, { method: 'GET', path: '/metrics' });
    expect(metrics).toContain(`fstore_requests_shed_total ${shed.length}`);
    await eventually(async () => expect((await call(narrow.url, { body })).status).toBe(200));
    await narrow.process.stop();
  });
});
