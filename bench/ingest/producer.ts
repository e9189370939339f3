/**
 * The producer process, started by `run.ts`. It writes transactions to Kafka, keyed by user, and remembers them.
 *
 * It follows messages of its parent and ends with it.
 */
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { eventJson } from './views.js';

/** An order to produce events. */
export interface ProduceOrder {
  readonly kind: 'produce';
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly users: number;
  /** Total number of events. */
  readonly count: number;
  /** Events a second; null for as fast as possible. */
  readonly rate: number | null;
  /** Event times are random within this many milliseconds before now; 0 for now. */
  readonly spread: number;
}

/** An order of the parent process. */
export type Order = ProduceOrder | { readonly kind: 'dump'; readonly file: string };

/** What was produced. */
export interface Produced {
  readonly sent: number;
  readonly startedAt: number;
  readonly endedAt: number;
  /** The users of the newest events, newest first. */
  readonly lastUsers: readonly string[];
}

const BATCH = 1_000;
const TICK = 10;
/** User, amount and event time of each event that Kafka has acknowledged. */
const remembered: number[] = [];
let seed = 0x5eed;
let number = 0;
let connected: { readonly key: string; readonly producer: ReturnType<Kafka['producer']> } | null = null;

/** mulberry32, so that each run produces the same events. */
function random(): number {
  seed = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

async function producerOf(brokers: readonly string[]): Promise<ReturnType<Kafka['producer']>> {
  const key = brokers.join(',');
  if (connected?.key === key) return connected.producer;
  const kafka = new Kafka({ clientId: 'ingest-bench', brokers: [...brokers], logLevel: logLevel.ERROR });
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  connected = { key, producer };
  return producer;
}

async function produce(order: ProduceOrder): Promise<Produced> {
  const producer = await producerOf(order.brokers);
  const startedAt = Date.now();
  const recent: string[] = [];
  let sent = 0;
  while (sent < order.count) {
    const due = order.rate === null ? order.count : Math.floor((order.rate * (Date.now() - startedAt)) / 1000);
    const size = Math.min(BATCH, order.count - sent, due - sent);
    if (size <= 0) {
      await delay(TICK);
      continue;
    }
    const events = Array.from({ length: size }, () => {
      const user = Math.floor(random() * order.users);
      // Amounts are multiples of 0.25, so that their sums are exact in any order.
      const amount = Math.floor(random() * 4_000) / 4;
      return { user, amount, eventTime: Date.now() - Math.floor(random() * order.spread) };
    });
    const messages = events.map(({ user, amount, eventTime }) => {
      number += 1;
      return { key: `u${user}`, value: eventJson({ user: `u${user}`, amount, eventTime }, number) };
    });
    await producer.send({ topic: order.topic, messages });
    for (const { user, amount, eventTime } of events) remembered.push(user, amount, eventTime);
    recent.push(...events.slice(-64).map(({ user }) => `u${user}`));
    recent.splice(0, recent.length - 64);
    sent += size;
  }
  return { sent, startedAt, endedAt: Date.now(), lastUsers: recent.toReversed() };
}

async function obey(order: Order): Promise<unknown> {
  if (order.kind === 'produce') return produce(order);
  await writeFile(order.file, Buffer.from(Float64Array.from(remembered).buffer));
  remembered.length = 0;
  return {};
}

process.on('message', (order: Order) => {
  obey(order).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
