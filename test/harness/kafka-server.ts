import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { runProcess, startProcess, whenReady } from './child-process.js';
import { freePorts } from './free-port.js';
import { cachedFolder, programOnPath } from './server-cache.js';
import type { TestServer } from './test-server.js';
import { scaled } from './time-factor.js';

const kafkaVersion = '4.4.0';
const artifacts = [
  ['org.apache.kafka', 'kafka_2.13', kafkaVersion],
  ['org.slf4j', 'slf4j-simple', '1.7.36'],
] as const;

function project(): string {
  const dependency = ([group, artifact, version]: (typeof artifacts)[number]) =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>fstore.test</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>${artifacts.map(dependency).join('')}</dependencies>
</project>
`;
}

/** Returns the folder of Kafka's jars, which Maven downloads unless they are in the cache. */
async function kafkaLibraries(): Promise<string> {
  const folder = await cachedFolder(`kafka-${kafkaVersion}`, async (draft) => {
    const maven = await programOnPath('mvn');
    if (!maven) throw new Error('mvn is not on PATH; install Maven');
    await writeFile(join(draft, 'pom.xml'), project());
    const arguments_ = ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=libs'];
    await runProcess(maven, arguments_, { cwd: draft, logFile: join(draft, 'maven.log') });
  });
  return join(folder, 'libs');
}

/** The settings of one node that is broker and controller, with one replica of everything. */
function settings(port: number, controllerPort: number, dataFolder: string): string {
  return [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names=CONTROLLER',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    `log.dirs=${join(dataFolder, 'logs')}`,
    'num.partitions=4',
    'auto.create.topics.enable=false',
    'default.replication.factor=1',
    'min.insync.replicas=1',
    'offsets.topic.replication.factor=1',
    'offsets.topic.num.partitions=4',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    'transaction.state.log.num.partitions=4',
    'share.coordinator.state.topic.replication.factor=1',
    'share.coordinator.state.topic.min.isr=1',
    'group.initial.rebalance.delay.ms=0',
    // A short session timeout, so that tests which kill a worker do not wait long for its partitions to be reassigned.
    'group.min.session.timeout.ms=1000',
    'log.cleaner.dedupe.buffer.size=33554432',
    '',
  ].join('\n');
}

/**
 * Waits until Kafka is ready, by joining a temporary group. describeCluster answers seconds before the group
 * coordinator does, and an early test would fail with NOT_COORDINATOR_FOR_GROUP.
 *
 * @throws if the brokers cannot be reached or the group cannot be joined within 20 s
 */
export async function kafkaReady(brokers: string): Promise<void> {
  const kafka = new Kafka({ clientId: 'harness', brokers: brokers.split(','), logLevel: logLevel.NOTHING });
  const topic = `harness-${process.pid}-${Date.now()}`;
  const admin = kafka.admin({ retry: { retries: 0 } });
  const consumer = kafka.consumer({
    groupId: topic,
    maxWaitTimeInMs: 100,
    retry: { initialRetryTime: 50, retries: 20 },
  });
  try {
    await admin.connect();
    await admin.describeCluster();
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] });
    const joined = new Promise<void>((resolve, reject) => {
      consumer.on('consumer.group_join', () => resolve());
      consumer.on('consumer.crash', ({ payload }) => reject(payload.error));
      setTimeout(() => reject(new Error('no group could be joined within 20 s')), scaled(20_000)).unref();
    });
    await consumer.connect();
    await consumer.subscribe({ topic });
    await consumer.run({ eachMessage: async () => {} });
    await joined;
  } finally {
    await consumer.disconnect().catch(() => {});
    await admin.deleteTopics({ topics: [topic] }).catch(() => {});
    await admin.disconnect().catch(() => {});
  }
}

/** Starts one Kafka in KRaft mode. The endpoint is "host:port". */
export async function startKafka(dataFolder: string): Promise<TestServer> {
  const java = await programOnPath('java');
  if (!java) throw new Error('java is not on PATH; install Java 17 or newer');
  const classPath = ['-cp', join(await kafkaLibraries(), '*')];
  const [port, controllerPort] = (await freePorts(2)) as [number, number];
  const settingsFile = join(dataFolder, 'server.properties');
  const logFile = join(dataFolder, 'kafka.log');
  await mkdir(dataFolder, { recursive: true });
  await writeFile(settingsFile, settings(port, controllerPort, dataFolder));

  // Its AppInfoParser logs the version, which the broker reports nowhere else.
  const logging = ['defaultLogLevel=warn', 'log.org.apache.kafka.common.utils=info'];
  const runtime = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  runtime.push(...logging.map((setting) => `-Dorg.slf4j.simpleLogger.${setting}`));
  const format = ['kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qg', '-c', settingsFile];
  await runProcess(java, ['-Xmx128m', ...runtime, ...classPath, ...format], { logFile });
  const running = startProcess(java, ['-Xmx384m', ...runtime, ...classPath, 'kafka.Kafka', settingsFile], { logFile });
  const endpoint = `127.0.0.1:${port}`;
  try {
    await whenReady(running, () => kafkaReady(endpoint));
    const version = /Kafka version: (\S+)/.exec(await readFile(logFile, 'utf8'))?.[1] ?? 'of unknown version';
    return { endpoint, version: `kafka ${version}`, stop: async () => void (await running.stop()) };
  } catch (failure) {
    await running.stop();
    throw failure;
  }
}
