/**
 * Avro on Kafka, of a schema that the source has and of schemas that messages name, in both engines, beside the same events as JSON.
 *
 * The registry is a small HTTP server that answers as Confluent's does to the one question that FStore asks of it.
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Kafka, logLevel, type Producer } from 'kafkajs';
import { eventually } from '../harness/eventually.js';
import { sparkEnvironment } from '../harness/spark-home.js';
import { testServers } from '../harness/test-servers.js';
import {
  happeningAvro,
  happeningColumns,
  happeningJson,
  happeningSchema,
  laterSchema,
  randomHappening,
} from '../unit/fakes/happenings.js';
import { seededRandom } from '../unit/fakes/seeded-random.js';
import { apply, ask, post, push } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);
const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const [EVENTS, USERS] = [400, 20];
const WAIT = { timeoutMs: 240_000, everyMs: 250 };
const START = Date.now() - 3_600_000;

const source = (name: string, stream: Record<string, unknown>) => ({
  kind: 'source',
  name,
  schema: happeningColumns,
  timestamp: 'at',
  stream,
});
const views = (of: string, engine: 'builtin' | 'spark') => [
  {
    kind: 'featureView',
    name: `${of}_${engine}_last`,
    entity: 'user',
    source: of,
    engine,
    features: ['cents', 'amount', 'price', 'colour', 'tags', 'day', 'flag'],
  },
  {
    kind: 'featureView',
    name: `${of}_${engine}_sums`,
    entity: 'user',
    source: of,
    engine,
    aggregations: [
      { name: 'n', function: 'count', windows: ['7d'] },
      { name: 'cents', function: 'sum', column: 'cents', windows: ['7d'] },
      { name: 'colours', function: 'countDistinct', column: 'colour', windows: ['7d'] },
    ],
  },
];
const FIELDS = {
  Last: '{ eventTime cents amount price colour tags day flag }',
  Sums: '{ n7d cents7d colours7d }',
};

describe(`Avro on Kafka (seed ${seed})`, () => {
  const random = seededRandom(seed);
  const registered = new Map<number, unknown>([
    [1, happeningSchema],
    [70_000, laterSchema],
  ]);
  const asked: number[] = [];
  let isDown = true;
  let registry: Server;
  let platform: Platform;
  let fstore: FStoreProcess;
  let producer: Producer;

  beforeAll(async () => {
    registry = createServer((request, response) => {
      const id = Number(/^\/schemas\/ids\/(\d+)$/.exec(request.url ?? '')?.[1]);
      asked.push(id);
      response.statusCode = isDown ? 503 : registered.has(id) ? 200 : 404;
      response.end(
        JSON.stringify(registered.has(id) ? { schema: JSON.stringify(registered.get(id)) } : { error_code: 40403 }),
      );
    });
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
    const FSTORE_SCHEMA_REGISTRY_URL = `http://127.0.0.1:${(registry.address() as AddressInfo).port}`;
    platform = await createPlatform('servers');
    fstore = await platform.start({ environment: { ...(await sparkEnvironment()), FSTORE_SCHEMA_REGISTRY_URL } });
    producer = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING }).producer();
    await producer.connect();
    // The command line puts the schema in the place of its file.
    writeFileSync(join(platform.folder, 'happening.avsc'), JSON.stringify(happeningSchema));
    const own = source('own', { format: 'avro', avroSchema: 'happening.avsc' });
    writeFileSync(join(platform.folder, 'own.yaml'), JSON.stringify(own));
    await run(process.execPath, ['dist/main.js', 'apply', join(platform.folder, 'own.yaml'), '--url', fstore.url]);
    await apply(fstore.url, [
      { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
      source('plain', {}),
      source('named', { format: 'avro' }),
      ...views('plain', 'builtin'),
      ...['own', 'named'].flatMap((of) => views(of, 'builtin')),
      ...views('named', 'spark'),
    ]);
  }, 600_000);
  afterAll(async () => {
    await producer?.disconnect();
    await platform?.drop();
    registry?.close();
  });

  const happening = (index: number) => randomHappening(random, `u${index % USERS}`, START + index * 1_000);
  const named = (id: number, datum: Buffer): Buffer => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(id, 1);
    return Buffer.concat([head, datum]);
  };
  const send = (topic: string, values: readonly (string | Buffer)[]) =>
    producer.send({
      topic: `${platform.project}.${topic}`,
      messages: values.map((value, index) => ({ key: `u${index % USERS}`, value })),
    });
  const lettersOf = async (of: string) => {
    const query = 'query ($source: String) { deadLetters(source: $source) { id code message } }';
    const { deadLetters } = await ask<{ deadLetters: { id: string; code: string; message: string }[] }>(
      fstore.url,
      query,
      { source: of },
    );
    return deadLetters;
  };
  const read = async (of: string, at = '') => {
    const ids = Array.from({ length: USERS }, (_, index) => `u${index}`);
    const selection = Object.entries(FIELDS).map(([kind, list]) => `${kind}: ${of}${kind}${at} ${list}`);
    const { users } = await ask<{ users: { Sums: { n7d: string } }[] }>(
      fstore.url,
      `query ($ids: [ID!]!) { users(ids: $ids) { ${selection.join(' ')} } }`,
      { ids },
    );
    return users;
  };
  const expectSame = async (count: number): Promise<void> => {
    const instant = `(asOf: "${new Date(START + 200_000).toISOString()}")`;
    const counted = (users: Awaited<ReturnType<typeof read>>) =>
      users.reduce((sum, { Sums }) => sum + Number(Sums.n7d), 0);
    for (const prefix of ['ownBuiltin', 'namedBuiltin', 'namedSpark']) {
      await eventually(async () => {
        const [wanted, got] = await Promise.all([read('plainBuiltin'), read(prefix)]);
        expect(counted(wanted)).toBe(count);
        expect([prefix, got]).toEqual([prefix, wanted]);
      }, WAIT);
      expect([prefix, await read(prefix, instant)]).toEqual([prefix, await read('plainBuiltin', instant)]);
    }
  };

  test('has the values of the same events as JSON, in both engines; nothing is lost while the registry is down', async () => {
    const events = Array.from({ length: EVENTS }, (_, index) => happening(index));
    await send('plain', events.map(happeningJson));
    await send(
      'own',
      events.map((event) => happeningAvro(event)),
    );
    await send(
      'named',
      events.map((event, index) => named(index % 3 === 0 ? 70_000 : 1, happeningAvro(event, index % 3 === 0))),
    );
    const count = () =>
      ask<{ sources: { name: string; freshness: { events: number } }[] }>(
        fstore.url,
        '{ sources { name freshness { events } } }',
      );
    await eventually(async () => {
      const { sources } = await count();
      const of = (name: string) => sources.find((one) => one.name === name)?.freshness.events;
      expect([of('plain'), of('own'), of('named')]).toEqual([EVENTS, EVENTS, 0]);
    }, WAIT);
    expect(asked.length).toBeGreaterThan(0);
    isDown = false;
    await expectSame(EVENTS);
    expect(await lettersOf('own')).toEqual([]);
    expect(await lettersOf('named')).toEqual([]);
  }, 500_000);

  test('makes dead letters of what it cannot read, which are replayed as they came', async () => {
    const event = { ...happening(0), at: BigInt(START + EVENTS * 1_000) * 1_000n };
    const datum = happeningAvro(event);
    await send('own', [datum.subarray(0, -1), '{"user_id":"u0"}']);
    await send('named', [datum, named(7, datum), named(1, Buffer.concat([datum, datum])), named(7, datum)]);
    await eventually(async () => {
      expect((await lettersOf('own')).map(({ code }) => code)).toEqual(['EVENT_MALFORMED', 'EVENT_MALFORMED']);
      const found = (await lettersOf('named')).map(({ code, message }) => `${code} ${message}`);
      expect(found.sort()).toEqual([
        'EVENT_MALFORMED the event does not begin with a zero and the number of its schema',
        expect.stringMatching(/^EVENT_MALFORMED the event is no Avro of its schema: \d+ bytes follow the datum$/),
        'EVENT_SCHEMA_UNKNOWN the schema registry has no schema 7',
        'EVENT_SCHEMA_UNKNOWN the schema registry has no schema 7',
      ]);
    }, WAIT);
    // A schema that comes after its messages is there for those that nobody has looked at yet.
    await eventually(async () => {
      const query = '{ featureViews { freshness { lag } } }';
      const { featureViews } = await ask<{ featureViews: { freshness: { lag: number } }[] }>(fstore.url, query);
      expect(featureViews.map(({ freshness }) => freshness.lag)).toEqual(featureViews.map(() => 0));
    }, WAIT);
    registered.set(7, happeningSchema);
    const ids = (await lettersOf('named')).filter(({ code }) => code === 'EVENT_SCHEMA_UNKNOWN').map(({ id }) => id);
    await ask(fstore.url, 'mutation ($ids: [ID!]!) { replayDeadLetters(ids: $ids) { replayed } }', {
      ids: ids.slice(0, 1),
    });
    await send('plain', [happeningJson(event)]);
    await push(fstore.url, 'own', [JSON.parse(happeningJson(event))]);
    await expectSame(EVENTS + 1);
  }, 200_000);

  test('is pushed where the source has the schema, and refused where only messages name it', async () => {
    const mutation =
      'mutation ($events: [JSON!]!, $source: String!) { ingest(source: $source, events: $events) { accepted } }';
    const at = new Date(START).toISOString();
    const refused = async (of: string, event: unknown) => {
      const { errors } = await post(fstore.url, mutation, { source: of, events: [event] });
      return errors?.[0]?.extensions;
    };
    const colour = await refused('own', { user_id: 'u0', colour: 'BLUE', at });
    expect(colour).toMatchObject({ code: 'EVENT_FIELD_TYPE', field: 'events.0.colour' });
    expect(await refused('own', { user_id: 'u0', price: 0.125, at })).toMatchObject({ field: 'events.0.price' });
    expect(await refused('named', { user_id: 'u0', at })).toMatchObject({ code: 'SOURCE_NOT_PUSHABLE', status: 400 });
  });

  test('is looked at before it is relied on', async () => {
    for (const name of ['own', 'named']) {
      const { stdout } = await run(process.execPath, [
        'dist/main.js',
        'sources',
        'check',
        name,
        '--json',
        '--url',
        fstore.url,
      ]).catch((error: { stdout: string }) => error);
      const [report] = JSON.parse(stdout) as {
        sampled: number;
        unusable: number;
        columns: { name: string; type: string }[];
      }[];
      expect(report!.sampled).toBeGreaterThan(EVENTS);
      expect(report!.unusable).toBe(2);
      expect(report!.columns).toContainEqual(expect.objectContaining({ name: 'cents', type: 'INT64' }));
    }
    const check = 'mutation ($input: SourceCheckInput!) { checkSource(input: $input) { findings { code message } } }';
    const { checkSource } = await ask<{ checkSource: { findings: { message: string }[] }[] }>(fstore.url, check, {
      input: { topic: 'named' },
    });
    expect(JSON.stringify(checkSource)).toContain('they look like Avro');
  }, 60_000);
});
