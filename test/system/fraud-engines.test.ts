/** The fraud example on the built-in processor, and with one word more on Spark: real Kafka, PostgreSQL, Redis, MongoDB and Spark. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Kafka, logLevel } from 'kafkajs';
import { parseAllDocuments } from 'yaml';
import { generateTransactions, separateLabel, type Transaction } from '../../src/cli/demo/transactions.js';
import { eventually } from '../harness/eventually.js';
import { sparkEnvironment } from '../harness/spark-home.js';
import { testServers } from '../harness/test-servers.js';
import { apply, ask } from './graphql-door.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const EVENTS = 100_000;
const VECTORS = 500;
const MINUTE = 60_000;
const DAY = 86_400_000;
const WAIT = { timeoutMs: 240_000, everyMs: 500 };

interface Definition {
  readonly kind: string;
  readonly name: string;
}
type Vector = Readonly<Record<string, unknown>>;

interface Side {
  readonly platform: Platform;
  readonly fstore: FStoreProcess;
}

function readExample(): Definition[] {
  const text = readFileSync('examples/fraud-detection/definitions.yaml', 'utf8');
  return parseAllDocuments(text).map((document) => document.toJS() as Definition);
}

/** Sums of doubles are added up in another order by each engine. */
function isSame(one: unknown, other: unknown): boolean {
  if (typeof one !== 'number' || typeof other !== 'number') return JSON.stringify(one) === JSON.stringify(other);
  return Math.abs(one - other) <= 1e-9 * Math.abs(other);
}

describe('the fraud example', () => {
  const definitions = readExample();
  const views = definitions.filter(({ kind }) => kind === 'featureView').map(({ name }) => name);
  const now = Date.now();
  const events: readonly Transaction[] = Array.from(
    generateTransactions({ seed: 7, count: EVENTS, start: now - 3 * DAY, end: now - MINUTE, lateShare: 0.05 }),
    (one) => separateLabel(one).event,
  );
  const sides: Side[] = [];

  const start = async (environment: Readonly<Record<string, string>>): Promise<Side> => {
    const platform = await createPlatform('servers');
    const side = { platform, fstore: await platform.start({ environment }) };
    sides.push(side);
    return side;
  };

  /** The same bytes in the same order, into the topics of both. */
  const produce = async (): Promise<void> => {
    const kafka = new Kafka({ brokers: testServers().kafkaBrokers, logLevel: logLevel.NOTHING });
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    try {
      for (let at = 0; at < events.length; at += 2_000) {
        const messages = events
          .slice(at, at + 2_000)
          .map((event) => ({ key: event.user_id, value: JSON.stringify(event) }));
        const topicMessages = sides.map(({ platform }) => ({ topic: `${platform.project}.transactions`, messages }));
        await producer.sendBatch({ topicMessages });
      }
    } finally {
      await producer.disconnect();
    }
  };

  /** Waits until every view has had every event, from the engine that it is meant to be on. */
  const taken = async ({ fstore }: Side, engine: string): Promise<void> => {
    const expected = views.map((name) => ({ name, freshness: { engine, events: EVENTS, deadLetters: 0 } }));
    await eventually(async () => {
      const { featureViews } = await ask<{ featureViews: { name: string }[] }>(
        fstore.url,
        '{ featureViews { name freshness { engine events deadLetters } } }',
      );
      expect(featureViews.sort((a, b) => views.indexOf(a.name) - views.indexOf(b.name))).toEqual(expected);
    }, WAIT);
  };

  beforeAll(async () => {
    const spark = await sparkEnvironment();
    const [builtin, onSpark] = [await start({}), await start(spark)];
    await apply(builtin.fstore.url, definitions);
    await apply(
      onSpark.fstore.url,
      definitions.map((one) => (one.kind === 'featureView' ? { ...one, engine: 'spark' } : one)),
    );
    await produce();
    await Promise.all([taken(builtin, 'builtin'), taken(onSpark, 'spark')]);
  }, 600_000);
  afterAll(async () => {
    for (const { platform } of sides) await platform.drop();
  });

  test(`has on Spark the vectors that it has without, of the same ${EVENTS} events`, async () => {
    const newest = new Map(events.map((event) => [event.user_id, event]));
    const asked = [...newest.values()].slice(-VECTORS);
    expect(asked).toHaveLength(VECTORS);
    const keys = asked.map(({ user_id, merchant_id, card_id, amount, country }) => {
      return { userId: user_id, merchantId: merchant_id, cardId: card_id, request: { amount, country } };
    });
    const [side] = sides;
    const introspection = '{ __type(name: "FraudDetection") { fields { name type { kind ofType { kind } } } } }';
    const { __type } = await ask<{ __type: { fields: { name: string }[] } }>(side!.fstore.url, introspection);
    const fields = __type.fields.map(({ name }) => name).filter((name) => name !== 'statuses');
    const query = `query ($keys: [FraudDetectionKeys!]!) {
      fraudDetectionList(keys: $keys) { ${fields.join(' ')} statuses { feature status } } }`;
    // A window's tail may move on between two answers: then they are asked once more.
    await eventually(
      async () => {
        const [wanted, got] = await Promise.all(
          sides.map(async ({ fstore }) => {
            return (await ask<{ fraudDetectionList: Vector[] }>(fstore.url, query, { keys })).fraudDetectionList;
          }),
        );
        const different = wanted!.flatMap((vector, index) =>
          Object.entries(vector)
            .filter(([name, value]) => !isSame(got![index]![name], value))
            .map(([name, value]) => [asked[index]!.user_id, name, got![index]![name], value]),
        );
        expect(different).toEqual([]);
        // Windows are not empty, so something was compared.
        expect(wanted!.filter(({ spend7d }) => typeof spend7d === 'number')).toHaveLength(VECTORS);
        expect(wanted!.filter(({ countries24h }) => countries24h !== '0').length).toBeGreaterThan(VECTORS / 2);
      },
      { timeoutMs: 60_000, everyMs: 1_000 },
    );
  }, 120_000);
});
