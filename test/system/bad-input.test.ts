/** Bad input of forty kinds: each gets its coded error that names the field, and no store changes. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { all, fraud, purchaseStats, transactions, user, userStats } from '../unit/fakes/example-definitions.js';
import { apply, ask, post } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const INGEST = 'mutation ($events: [JSON!]!) { ingest(source: "transactions", events: $events) { accepted } }';
const APPLY = 'mutation ($input: DefinitionsInput!) { applyDefinitions(input: $input) { revision } }';
const time = new Date(Date.now() - 60_000).toISOString();
const good = { user_id: 'u1', card_id: 7, amount: 1, country: 'NL', event_time: time };

let platform: Platform;
let fstore: FStoreProcess;
let database: pg.Pool;

/** A picture of everything that bad input could have changed. */
async function picture(): Promise<unknown> {
  const schemas = [`fstore_${platform.project}`, 'fstore_bus', 'fstore_registry'];
  const { rows: tables } = await database.query<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
     WHERE table_schema = ANY($1) AND table_type = 'BASE TABLE' ORDER BY 1`,
    [schemas],
  );
  const counts = await Promise.all(
    tables.map(async ({ name }) => [
      name,
      (await database.query(`SELECT count(*)::int AS n FROM ${name}`)).rows[0].n as number,
    ]),
  );
  const catalog = await ask(
    fstore.url,
    '{ project { revision } audit { revision } deadLetters { id } featureViews { name version } }',
  );
  return { counts, catalog };
}

beforeAll(async () => {
  platform = await createPlatform('servers');
  // The bus in PostgreSQL, so that its messages are counted too.
  fstore = await platform.start({ environment: { FSTORE_KAFKA_BROKERS: '', FSTORE_MONGO_URL: '' } });
  database = new pg.Pool({ connectionString: platform.environment.FSTORE_POSTGRES_URL, max: 2 });
  await apply(fstore.url, all);
});
afterAll(async () => {
  await database?.end();
  await platform.drop();
});

type Case = [what: string, query: string, variables: Record<string, unknown>, code: string, field: string | undefined];
const events = (...list: unknown[]) => ({ events: list });
const definitions = (...list: unknown[]) => ({ input: { definitions: list } });

const sql = { query: 'SELECT * FROM transactions', features: { amount: 'FLOAT64' } };

const cases: Case[] = [
  ['an event that is text', INGEST, events('x'), 'EVENT_MALFORMED', 'events.0'],
  ['an event that is a list', INGEST, events([good]), 'EVENT_MALFORMED', 'events.0'],
  ['an event with an unknown field', INGEST, events({ ...good, colour: 1 }), 'EVENT_FIELD_UNKNOWN', 'events.0.colour'],
  ['an event with text for a number', INGEST, events({ ...good, amount: '1' }), 'EVENT_FIELD_TYPE', 'events.0.amount'],
  [
    'an event with a fraction for an integer',
    INGEST,
    events({ ...good, card_id: 1.5 }),
    'EVENT_FIELD_TYPE',
    'events.0.card_id',
  ],
  [
    'an event with an integer that lost digits',
    INGEST,
    events({ ...good, card_id: 2 ** 60 }),
    'EVENT_FIELD_TYPE',
    'events.0.card_id',
  ],
  [
    'an event with an integer beyond 64 bits',
    INGEST,
    events({ ...good, card_id: '9223372036854775808' }),
    'EVENT_FIELD_TYPE',
    'events.0.card_id',
  ],
  [
    'an event with an object for text',
    INGEST,
    events({ ...good, country: {} }),
    'EVENT_FIELD_TYPE',
    'events.0.country',
  ],
  [
    'an event with a null character',
    INGEST,
    events({ ...good, country: 'N\u0000' }),
    'EVENT_FIELD_TYPE',
    'events.0.country',
  ],
  [
    'an event with half a surrogate',
    INGEST,
    events({ ...good, country: '\ud800' }),
    'EVENT_FIELD_TYPE',
    'events.0.country',
  ],
  [
    'an event without its time',
    INGEST,
    events({ ...good, event_time: null }),
    'EVENT_TIME_MISSING',
    'events.0.event_time',
  ],
  [
    'an event with a time without a zone',
    INGEST,
    events({ ...good, event_time: '2026-01-01T00:00:00' }),
    'EVENT_FIELD_TYPE',
    'events.0.event_time',
  ],
  [
    'an event on 30 February',
    INGEST,
    events({ ...good, event_time: '2026-02-30T00:00:00Z' }),
    'EVENT_FIELD_TYPE',
    'events.0.event_time',
  ],
  [
    'an event from the future',
    INGEST,
    events({ ...good, event_time: '2999-01-01T00:00:00Z' }),
    'EVENT_FROM_THE_FUTURE',
    'events.0.event_time',
  ],
  ['an event without a key', INGEST, events({ ...good, user_id: null }), 'EVENT_KEY_MISSING', 'events.0.user_id'],
  ['an event with an empty key', INGEST, events({ ...good, user_id: '' }), 'EVENT_KEY_MISSING', 'events.0.user_id'],
  [
    'an event with a huge key',
    INGEST,
    events({ ...good, user_id: 'x'.repeat(600) }),
    'KEY_INVALID',
    'events.0.user_id',
  ],
  [
    'one bad event among good ones',
    INGEST,
    events(good, good, { ...good, amount: true }),
    'EVENT_FIELD_TYPE',
    'events.2.amount',
  ],
  [
    'an event that is too large',
    INGEST,
    events({ ...good, country: 'x'.repeat(1_100_000) }),
    'EVENT_TOO_LARGE',
    'events.0',
  ],
  [
    'more events than one push may hold',
    INGEST,
    events(...Array.from({ length: 10_001 }, () => 0)),
    'LIST_TOO_LONG',
    'events',
  ],
  [
    'events of an unknown source',
    'mutation { ingest(source: "nope", events: [{}]) { accepted } }',
    {},
    'SOURCE_UNKNOWN',
    'source',
  ],
  ['a definition of an unknown kind', APPLY, definitions({ kind: 'table', name: 'x' }), 'DEFINITION_INVALID', 'kind'],
  ['a definition that is text', APPLY, definitions('x'), 'DEFINITION_INVALID', ''],
  ['a definition with an unknown field', APPLY, definitions({ ...user, colour: 1 }), 'DEFINITION_INVALID', ''],
  ['a definition with a bad name', APPLY, definitions({ ...user, name: 'No Name' }), 'DEFINITION_INVALID', 'name'],
  [
    'Avro that names its schema, without a schema registry',
    APPLY,
    definitions({ ...transactions, stream: { format: 'avro' } }),
    'SCHEMA_REGISTRY_MISSING',
    'definitions[0].stream.format',
  ],
  [
    'a query on Spark, without Spark',
    APPLY,
    definitions({ ...userStats, features: undefined, engine: 'spark', sql }),
    'ENGINE_UNAVAILABLE',
    'definitions[0].engine',
  ],
  ['a bad TTL', APPLY, definitions({ ...userStats, ttl: 'soon' }), 'DEFINITION_INVALID', 'ttl'],
  [
    'a bad value type',
    APPLY,
    definitions({ ...transactions, schema: { a: 'TEXT' } }),
    'DEFINITION_INVALID',
    'schema.a',
  ],
  ['a view on an unknown source', APPLY, definitions({ ...userStats, source: 'nope' }), 'REFERENCE_UNKNOWN', 'source'],
  [
    'a view on an unknown column',
    APPLY,
    definitions({ ...userStats, features: ['nope'] }),
    'REFERENCE_UNKNOWN',
    'features.0',
  ],
  [
    'a service over an unknown view',
    APPLY,
    definitions({ ...fraud, features: ['nope'] }),
    'REFERENCE_UNKNOWN',
    'features.0',
  ],
  ['a definition given twice', APPLY, definitions(userStats, userStats), 'NAME_COLLISION', 'name'],
  [
    'a type name that is taken',
    APPLY,
    definitions({ ...purchaseStats, graphql: { type: 'User' } }),
    'NAME_COLLISION',
    'graphql.type',
  ],
  [
    'a query field that FStore uses',
    APPLY,
    definitions({ ...fraud, graphql: { field: 'project' } }),
    'NAME_COLLISION',
    'graphql.field',
  ],
  ['a breaking change', APPLY, definitions({ ...userStats, features: ['amount'] }), 'BREAKING_CHANGE', 'allowBreaking'],
  [
    'a good definition beside a bad one',
    APPLY,
    definitions({ ...user, name: 'fresh', graphql: { type: 'Fresh' } }, { kind: 'x' }),
    'DEFINITION_INVALID',
    'kind',
  ],
  ['an empty id', '{ user(id: "") { stats { amount } } }', {}, 'KEY_INVALID', 'id'],
  ['a huge id', `{ user(id: "${'x'.repeat(600)}") { stats { amount } } }`, {}, 'KEY_INVALID', 'id'],
  [
    'text for an integer key',
    '{ purchase(userId: "u1", cardId: "seven") { stats { amount } } }',
    {},
    'KEY_INVALID',
    'cardId',
  ],
  [
    'more ids than one request may ask for',
    'query ($ids: [ID!]!) { users(ids: $ids) { id } }',
    { ids: Array.from({ length: 1_001 }, (_, i) => `${i}`) },
    'LIST_TOO_LONG',
    'ids',
  ],
  [
    'an instant in the future',
    '{ user(id: "u1") { stats(asOf: "2999-01-01T00:00:00Z") { amount } } }',
    {},
    'BAD_REQUEST',
    'asOf',
  ],
  [
    'an unknown dead letter',
    'mutation { replayDeadLetters(ids: ["999"]) { replayed } }',
    {},
    'DEAD_LETTER_UNKNOWN',
    'ids',
  ],
  [
    'an unknown dead letter that is no number',
    'mutation { replayDeadLetters(ids: ["x"]) { replayed } }',
    {},
    'DEAD_LETTER_UNKNOWN',
    'ids',
  ],
  ['a page that is too long', '{ audit(first: 100000) { revision } }', {}, 'BAD_REQUEST', 'first'],
  ['a view that does not exist', '{ featureView(name: "nope") { name } }', {}, 'VIEW_UNKNOWN', 'name'],
];

describe(`bad input of ${cases.length} kinds`, () => {
  test.each(cases)('%s', async (_, query, variables, code, field) => {
    const before = await picture();
    const { errors } = await post(fstore.url, query, variables);
    const extensions = errors?.[0]?.extensions;
    const named = field === undefined ? undefined : (extensions?.field ?? '');
    expect([extensions?.code, named]).toEqual([code, field]);
    expect(extensions?.status).toBeGreaterThanOrEqual(400);
    expect(extensions?.status).toBeLessThan(500);
    expect(extensions?.cure).toEqual(expect.any(String));
    expect(JSON.stringify(errors)).not.toMatch(/\bat .*\.js:\d+/);
    expect(await picture()).toEqual(before);
  });

  test('the same definitions applied once more change nothing', async () => {
    const before = await picture();
    await apply(fstore.url, all);
    expect(await picture()).toEqual(before);
  });

  test('REST answers the same codes, with the status of each', async () => {
    const send = async (path: string, body: string, type = 'application/json') => {
      const response = await fetch(`${fstore.url}${path}`, { method: 'POST', headers: { 'content-type': type }, body });
      const { error } = (await response.json()) as { error: { code: string; field?: string } };
      return [response.status, error.code, error.field];
    };
    const path = '/api/v1/sources/transactions/events';
    expect(await send(path, '{')).toEqual([400, 'EVENT_MALFORMED', undefined]);
    expect(await send(path, JSON.stringify({ ...good, amount: 'x' }))).toEqual([
      400,
      'EVENT_FIELD_TYPE',
      'events.0.amount',
    ]);
    expect(await send('/api/v1/sources/nope/events', '{}')).toEqual([404, 'SOURCE_UNKNOWN', 'source']);
    expect(await send('/api/v1/nothing', '{}')).toEqual([404, 'NOT_FOUND', undefined]);
    expect(await send(path, 'x', 'text/plain')).toEqual([400, 'BAD_REQUEST', undefined]);
  });
});
