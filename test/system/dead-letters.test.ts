/** Events that producers put on Kafka themselves, past the push door: what cannot be used is kept with its reason. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Kafka, logLevel } from 'kafkajs';
import { eventually } from '../harness/eventually.js';
import { testServers } from '../harness/test-servers.js';
import { transactions, user, userStats } from '../unit/fakes/example-definitions.js';
import { apply, ask, post } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const run = promisify(execFile);

interface Letters {
  deadLetters: {
    id: string;
    code: string;
    field: string | null;
    origin: string;
    payload: string;
    replayedAt: string | null;
  }[];
}

const time = new Date(Date.now() - 60_000).toISOString();
const good = { user_id: 'u1', card_id: 7, amount: 1, country: 'NL', event_time: time };
const bad: [payload: string | Buffer, code: string, field: string | null][] = [
  ['{', 'EVENT_MALFORMED', null],
  ['', 'EVENT_MALFORMED', null],
  ['[]', 'EVENT_MALFORMED', null],
  [Buffer.from([0xff, 0x00]), 'EVENT_MALFORMED', null],
  [JSON.stringify({ ...good, device: 'd1' }), 'EVENT_FIELD_UNKNOWN', 'device'],
  [JSON.stringify({ ...good, amount: '1' }), 'EVENT_FIELD_TYPE', 'amount'],
  [JSON.stringify({ ...good, event_time: null }), 'EVENT_TIME_MISSING', 'event_time'],
  [JSON.stringify({ ...good, event_time: '2999-01-01T00:00:00Z' }), 'EVENT_FROM_THE_FUTURE', 'event_time'],
  [JSON.stringify({ ...good, user_id: null }), 'EVENT_KEY_MISSING', 'user_id'],
  [JSON.stringify({ ...good, user_id: 'x'.repeat(600) }), 'KEY_INVALID', 'user_id'],
  [JSON.stringify({ ...good, country: 'x'.repeat(1_000_001) }), 'EVENT_TOO_LARGE', null],
];

let platform: Platform;
let fstore: FStoreProcess;
const kafka = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING });
const letters = async () =>
  (
    await ask<Letters>(
      fstore.url,
      '{ deadLetters(source: "transactions") { id code field origin payload replayedAt } }',
    )
  ).deadLetters;

beforeAll(async () => {
  platform = await createPlatform('servers');
  fstore = await platform.start();
  await apply(fstore.url, [user, transactions, userStats]);
  const producer = kafka.producer();
  await producer.connect();
  const values = [
    JSON.stringify(good),
    ...bad.map(([payload]) => payload),
    JSON.stringify({ ...good, user_id: 'u2', amount: 2 }),
  ];
  await producer.send({
    topic: `${platform.project}.transactions`,
    messages: values.map((value) => ({ key: 'same', value: Buffer.from(value as string) })),
  });
  await producer.disconnect();
  await eventually(async () =>
    expect(await ask(fstore.url, '{ users(ids: ["u1", "u2"]) { stats { amount } } }')).toEqual({
      users: [{ stats: { amount: 1 } }, { stats: { amount: 2 } }],
    }),
  );
});
afterAll(() => platform.drop());

describe('unusable events', () => {
  test('are dead letters, each with its code and column, and the events around them are used', async () => {
    const found = await letters();
    expect(found.map(({ code, field }) => [code, field]).reverse()).toEqual(
      bad.map(([, code, field]) => [code, field]),
    );
    expect(found.at(-1)).toMatchObject({ payload: '{', replayedAt: null });
    expect(found.at(-1)?.origin).toMatch(new RegExp(`^${platform.project}\\.transactions/\\d+/1$`));
  });

  test('go to the dead-letter topic with their reason', async () => {
    const consumer = kafka.consumer({ groupId: `${platform.project}-dead`, maxWaitTimeInMs: 100 });
    const codes: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topic: `${platform.project}.transactions.dead-letters`, fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void codes.push(`${message.headers?.['fstore-error']}`) });
    await eventually(() => expect(codes.toSorted()).toEqual(bad.map(([, code]) => code).toSorted()));
    await consumer.disconnect();
  });

  test('are taken in by a replay once a definition makes them usable, and only once', async () => {
    await apply(fstore.url, [{ ...transactions, schema: { ...transactions.schema, device: 'STRING' } }]);
    const letter = (await letters()).find((one) => one.code === 'EVENT_FIELD_UNKNOWN');
    const replay = 'mutation ($ids: [ID!]!) { replayDeadLetters(ids: $ids) { replayed } }';
    expect((await post(fstore.url, replay, { ids: [letter?.id] })).data).toEqual({
      replayDeadLetters: { replayed: 1 },
    });
    expect((await post(fstore.url, replay, { ids: [letter?.id] })).errors?.[0]?.extensions.code).toBe(
      'DEAD_LETTER_UNKNOWN',
    );
    await eventually(async () =>
      expect((await letters()).find((one) => one.id === letter?.id)?.replayedAt).not.toBeNull(),
    );
    expect(await letters()).toHaveLength(bad.length);
  });
});

test('the command line lists and replays them', async () => {
  const fstoreJson = async (...given: string[]) => {
    const { stdout } = await run(process.execPath, ['dist/main.js', 'dead-letters', ...given, '--url', fstore.url]);
    return stdout;
  };
  const listed = JSON.parse(await fstoreJson('--source', 'transactions', '--json')) as { id: string; code: string }[];
  expect(listed.map(({ id }) => id)).toEqual((await letters()).map(({ id }) => id));
  expect(JSON.parse(await fstoreJson('--first', '1', '--json'))).toHaveLength(1);
  expect(await fstoreJson()).toContain('EVENT_KEY_MISSING');
  expect(JSON.parse(await fstoreJson('--source', 'nothing', '--json'))).toEqual([]);
  const malformed = listed.find(({ code }) => code === 'EVENT_MALFORMED')!;
  expect(await fstoreJson('replay', malformed.id)).toBe('Replayed 1 of 1.\n');
});
