/**
 * Measures how soon an event is visible. Probes are single events of separate users, sent under load. They are looked
 * for in Redis, through GraphQL and through a subscription.
 *
 * A probe is visible when the value has the event time of the probe or a later one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from 'graphql-ws';
import { Redis } from 'ioredis';
import type { Producer } from 'kafkajs';
import WebSocket from 'ws';
import { entityKey } from '../../src/definition/entity-key.js';
import { onlineKey } from '../../src/store/online-key.js';
import { ask } from '../../test/system/graphql-door.js';
import { eventJson, MEASURED, type ProducedEvent } from './views.js';

const DOORS = ['redis', 'graphql', 'subscription'] as const;
type Door = (typeof DOORS)[number];

/** How often each is polled, in milliseconds; this limits the precision of the figures. */
const EVERY = { redis: 3, graphql: 15 } as const;
/** The bytes of a packed aggregation that hold its event time; see `src/store/value-codec.ts`. */
const EVENT_TIME = [21, 28] as const;

/** Percentiles of a latency, in milliseconds. */
export interface Latency {
  readonly samples: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** When the probes were visible. */
export interface Freshness {
  /** Milliseconds from before the event was handed to the Kafka client until it was visible. */
  readonly doors: Readonly<Record<Door, Latency>>;
  /** Milliseconds until Kafka had acknowledged the event. */
  readonly acknowledged: Latency;
  /** Probes that were not visible everywhere ten seconds after the last was sent. */
  readonly unseen: number;
}

/** What to measure, and how many probes to send. */
export interface FreshnessOptions {
  readonly project: string;
  readonly url: string;
  readonly redisUrl: string;
  readonly producer: Producer;
  readonly topic: string;
  readonly users: readonly string[];
  readonly seconds: number;
  readonly perSecond: number;
}

/** Returns percentiles of times in milliseconds. */
export function latencyOf(times: readonly number[]): Latency {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { samples: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

interface Probe {
  readonly user: string;
  readonly sentAt: number;
  readonly waiting: Set<Door>;
}

/**
 * Sends probes for the given number of seconds and returns when they were visible. Appends the sent events to `events`.
 */
export async function measureFreshness(options: FreshnessOptions, events: ProducedEvent[]): Promise<Freshness> {
  const { project, url, redisUrl, producer, topic, users, seconds, perSecond } = options;
  const times: Record<Door, number[]> = { redis: [], graphql: [], subscription: [] };
  const acknowledged: number[] = [];
  const open = new Map<string, Probe>();
  const see = (door: Door, user: string, eventTime: number): void => {
    const probe = open.get(user);
    if (!probe?.waiting.has(door) || eventTime < probe.sentAt) return;
    probe.waiting.delete(door);
    times[door].push(Date.now() - probe.sentAt);
    if (probe.waiting.size === 0) open.delete(user);
  };
  const waitingFor = (door: Door): string[] =>
    [...open.values()].filter((one) => one.waiting.has(door)).map((one) => one.user);

  const redis = new Redis(redisUrl);
  const socket = createClient({ url: `${url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket });
  const subscription = socket.iterate<{ userSpendingUpdated: { id: string; spending: { eventTime: string } } }>({
    query: 'subscription ($ids: [ID!]!) { userSpendingUpdated(ids: $ids) { id spending { eventTime } } }',
    variables: { ids: users },
  });
  let stopped = false;
  const failures: unknown[] = [];
  const looking = [
    (async () => {
      for await (const { data, errors } of subscription) {
        if (errors) throw new Error(JSON.stringify(errors));
        const { id, spending } = data!.userSpendingUpdated;
        see('subscription', id, Date.parse(spending.eventTime));
      }
    })(),
    (async () => {
      for (; !stopped; await delay(EVERY.redis)) {
        const asked = waitingFor('redis');
        const pipeline = redis.pipeline();
        for (const user of asked) {
          pipeline.getrangeBuffer(onlineKey(project, MEASURED, entityKey([user])), ...EVENT_TIME);
        }
        const answers = asked.length > 0 ? await pipeline.exec() : [];
        for (const [index, [error, bytes]] of (answers ?? []).entries()) {
          if (error) throw error;
          if ((bytes as Buffer).length === 8) see('redis', asked[index]!, (bytes as Buffer).readDoubleBE(0));
        }
      }
    })(),
    (async () => {
      for (; !stopped; await delay(EVERY.graphql)) {
        const ids = waitingFor('graphql');
        if (ids.length === 0) continue;
        const query = 'query ($ids: [ID!]!) { users(ids: $ids) { id spending { eventTime } } }';
        const data = await ask<{ users: { id: string; spending: { eventTime: string | null } }[] }>(url, query, {
          ids,
        });
        for (const { id, spending } of data.users) see('graphql', id, Date.parse(spending.eventTime ?? ''));
      }
    })(),
  ].map((one) => one.catch((error: unknown) => failures.push(error)));

  // The subscription does not confirm its start, and would miss probes that are sent before it.
  await delay(1_000);
  const started = Date.now();
  const sends: Promise<unknown>[] = [];
  for (let sent = 0; sent < seconds * perSecond && failures.length === 0; sent += 1) {
    await delay(Math.max(0, started + (sent * 1000) / perSecond - Date.now()));
    const user = users[sent % users.length]!;
    if (open.has(user)) continue;
    const sentAt = Date.now();
    const event = { user, amount: 1 + (sent % 40) / 4, eventTime: sentAt };
    open.set(user, { user, sentAt, waiting: new Set(DOORS) });
    events.push(event);
    const sending = producer.send({ topic, messages: [{ key: user, value: eventJson(event, sent) }] });
    sends.push(sending.then(() => acknowledged.push(Date.now() - sentAt)));
  }
  await Promise.all(sends);
  for (const deadline = Date.now() + 10_000; open.size > 0 && Date.now() < deadline && failures.length === 0; )
    await delay(20);
  stopped = true;
  await socket.dispose();
  await subscription.return?.(undefined);
  await Promise.all(looking);
  redis.disconnect();
  if (failures.length > 0) throw failures[0];
  const doors = Object.fromEntries(DOORS.map((door) => [door, latencyOf(times[door])])) as Freshness['doors'];
  return { doors, acknowledged: latencyOf(acknowledged), unseen: open.size };
}
