/** The stream benchmark: Kafka → one engine → online value, as throughput and as latency. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import { eventually } from '../../test/harness/eventually.js';
import type { SparkEnvironment } from '../../test/harness/spark-home.js';
import { apply, ask } from '../../test/system/graphql-door.js';
import type { Platform } from '../../test/system/platform.js';
import { type Freshness, measureFreshness } from '../ingest/freshness.js';
import type { CpuSeconds } from '../ingest/meter.js';
import { ProducerProcess } from '../ingest/producer-process.js';
import { findWrong } from '../ingest/value-check.js';
import { definitionsOf, eventJson, type ProducedEvent, SOURCE } from '../ingest/views.js';
import { type Engine, processes, spentBetween } from './processes.js';

/** How much to produce and how long to measure. */
export interface StreamOptions {
  readonly events: number;
  readonly users: number;
  /** Seconds of probes at each load. */
  readonly seconds: number;
  /** Events a second besides the probes, for each measurement. */
  readonly loads: readonly number[];
  /** Seconds of micro-batches before the measurement, in which Spark's code is compiled. */
  readonly warmup: number;
}

/** The result for one engine. */
export interface StreamReport {
  readonly engine: Engine;
  readonly eventsPerSecond: number;
  /** CPU milliseconds of each process for one event. */
  readonly cpuMsPerEvent: CpuSeconds;
  readonly freshness: readonly (Freshness & { readonly load: number })[];
  readonly checked: number;
  readonly wrong: readonly string[];
}

const WINDOWS = 4;
const PROBES = 200;
const SAMPLE_EVERY = 250;
const CHECKED = 200;

interface Sample {
  readonly at: number;
  readonly events: number;
  readonly cpu: CpuSeconds;
}

/** Measures one engine on its own platform. */
export async function measureStream(
  engine: Engine,
  options: StreamOptions,
  platform: Platform,
  spark: SparkEnvironment,
  kafka: Kafka,
): Promise<StreamReport> {
  const fstore = await platform.start({ environment: { ...spark, FSTORE_LOG_LEVEL: 'warn' } });
  const topic = `${platform.project}.${SOURCE}`;
  const admin = kafka.admin();
  const probes = kafka.producer({ allowAutoTopicCreation: false });
  const producer = new ProducerProcess(platform.environment.FSTORE_KAFKA_BROKERS!.split(','), topic, options.users);
  await Promise.all([admin.connect(), probes.connect()]);
  const taken = async (): Promise<number> => {
    const text = '{ featureViews { freshness { events } } }';
    const { featureViews } = await ask<{ featureViews: { freshness: { events: number } }[] }>(fstore.url, text);
    return featureViews[0]!.freshness.events;
  };
  const sample = async (): Promise<Sample> => {
    const events = await taken();
    return { at: Date.now(), events, cpu: processes(platform, fstore.process.pid, { producer: producer.pid }) };
  };
  const until = async (total: number): Promise<Sample> => {
    for (const deadline = Date.now() + 900_000; ; await delay(SAMPLE_EVERY)) {
      const one = await sample();
      if (one.events >= total) return one;
      if (Date.now() > deadline) throw new Error(`${one.events} of ${total} events: ${fstore.process.logTail()}`);
    }
  };
  try {
    const definitions = definitionsOf(WINDOWS) as { kind: string }[];
    await apply(
      fstore.url,
      definitions.map((one) => (one.kind === 'featureView' ? { ...one, engine } : one)),
    );
    await eventually(async () => {
      if (!(await admin.listTopics()).includes(topic)) throw new Error('there is no topic yet');
    });
    let total = 0;
    const produce = async (count: number, rate: number | null): Promise<void> => {
      await producer.produce({ count, rate, spread: 0 });
      total += count;
    };
    await produce(options.warmup * 500, 500);
    await until(total);

    const first = await sample();
    await produce(options.events, null);
    const last = await until(total);
    const { seconds, cpu } = spentBetween(first, last);

    const users = Array.from({ length: PROBES }, (_, index) => `probe${index}`);
    const probed: ProducedEvent[] = users.map((user) => ({ user, amount: 1, eventTime: Date.now() }));
    await probes.send({
      topic,
      messages: probed.map((event, index) => ({ key: event.user, value: eventJson(event, index) })),
    });
    total += probed.length;
    await until(total);
    const freshness: (Freshness & { load: number })[] = [];
    for (const load of options.loads) {
      const sent = probed.length;
      const loading = load > 0 ? produce(load * (options.seconds + 5), load) : Promise.resolve();
      const seen = await measureFreshness(
        {
          ...{ project: platform.project, url: fstore.url, redisUrl: platform.environment.FSTORE_REDIS_URL! },
          ...{ producer: probes, topic, users, seconds: options.seconds, perSecond: 20 },
        },
        probed,
      );
      await loading;
      total += probed.length - sent;
      freshness.push({ ...seen, load });
      await until(total);
    }

    const events = [...(await producer.events(platform.folder)), ...probed];
    const checked = Array.from({ length: CHECKED }, (_, index) => `u${(index * 7_919) % options.users}`);
    let wrong: string[] = [];
    // Counted events are in history; their values are online a moment later.
    await eventually(
      async () => {
        wrong = await findWrong(fstore.url, WINDOWS, [...new Set(checked)], events);
        if (wrong.length > 0) throw new Error('values differ');
      },
      { timeoutMs: 10_000 },
    ).catch(() => {});
    return {
      engine,
      eventsPerSecond: options.events / seconds,
      cpuMsPerEvent: Object.fromEntries(
        Object.entries(cpu).map(([name, value]) => [name, (value * 1000) / options.events]),
      ),
      freshness,
      checked: checked.length * WINDOWS,
      wrong,
    };
  } finally {
    producer.stop();
    await Promise.all([probes.disconnect(), fstore.process.stop()]);
    const topics = (await admin.listTopics()).filter((name) => name.includes(platform.project));
    await admin.deleteTopics({ topics }).catch(() => {});
    await admin.disconnect();
  }
}
