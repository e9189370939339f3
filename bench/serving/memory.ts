/**
 * Measures how many bytes of Redis a million entities with 10 features take: in FStore's packed form, as JSON, as
 * MessagePack, and in Feast's layout.
 *
 *   node --import tsx bench/serving/memory.ts [--entities 100000] [--main dist/main.js] [--out memory.json]
 *
 * FStore and Feast write their values themselves. Nothing else may use the server meanwhile, because the growth of its
 * memory is measured.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { short, table, whole } from '../measure/markdown.js';
import { answerText, entityId, TABLES, TTL_DAYS, valuesOf } from './dataset.js';
import { installPackages } from './tools.js';
import { createWorld, type Keeping, loadFeast, loadFStore, type World, writeTables } from './world.js';

const PROFILES = TABLES[0]!;
const VIEW = PROFILES.views[0]!;
const SAMPLES = 1_000;
const PIPELINE = 1_000;
const MILLION = 1_000_000;
/**
 * How many checks in a row must find the same memory before it counts: Redis moves a grown hash table in the
 * background.
 */
const SETTLED_LOOKS = 4;
const LOOK_MS = 500;
const SETTLED_BYTES = 20_000;

interface Layout {
  readonly name: string;
  readonly keeping: Keeping;
  readonly expires: boolean;
  load(): Promise<void>;
}

interface Measured {
  readonly layout: string;
  readonly keys: number;
  readonly expires: boolean;
  /** Growth of `used_memory` for each entity, in bytes. */
  readonly usedBytes: number;
  /** Mean MEMORY USAGE of sampled keys: key, value and their headers, without the server's tables. */
  readonly keyBytes: number;
  readonly valueBytes: number;
}

async function usedMemory(redis: Redis): Promise<number> {
  for (let [last, looks] = [0, 0]; ; ) {
    const now = Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
    looks = Math.abs(now - last) < SETTLED_BYTES ? looks + 1 : 0;
    last = now;
    if (looks >= SETTLED_LOOKS) return now;
    await delay(LOOK_MS);
  }
}

async function valueBytesOf(redis: Redis, key: string): Promise<number> {
  if ((await redis.type(key)) === 'string') return redis.strlen(key);
  const fields = Object.entries(await redis.hgetallBuffer(key));
  return fields.reduce((sum, [name, value]) => sum + Buffer.byteLength(name, 'latin1') + value.length, 0);
}

async function sample(redis: Redis): Promise<Pick<Measured, 'keyBytes' | 'valueBytes'>> {
  let [usage, value] = [0, 0];
  for (let index = 0; index < SAMPLES; index += 1) {
    const key = (await redis.callBuffer('RANDOMKEY')) as Buffer;
    usage += (await redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0')) as number;
    // Feast's keys are not text.
    value += await valueBytesOf(redis, key as unknown as string);
  }
  return { keyBytes: usage / SAMPLES, valueBytes: value / SAMPLES };
}

async function measure(world: World, layout: Layout, entities: number): Promise<Measured> {
  const redis = new Redis(world.redisUrl(layout.keeping));
  try {
    await redis.flushdb();
    const before = await usedMemory(redis);
    await layout.load();
    const used = (await usedMemory(redis)) - before;
    const keys = await redis.dbsize();
    if (keys !== entities) throw new Error(`${layout.name} has ${keys} keys for ${entities} entities`);
    const { expires } = layout;
    const measured = { layout: layout.name, keys, expires, usedBytes: used / entities, ...(await sample(redis)) };
    await redis.flushdb();
    return measured;
  } finally {
    redis.disconnect();
  }
}

/** Writes one value for each entity, under a short readable key. */
async function writeValues(url: string, entities: number, expires: boolean, pack: (entity: number) => Buffer) {
  const redis = new Redis(url);
  try {
    for (let from = 0; from < entities; from += PIPELINE) {
      const pipeline = redis.pipeline();
      for (let entity = from; entity < Math.min(entities, from + PIPELINE); entity += 1) {
        const key = `${VIEW.name}:${entityId(entity)}`;
        if (expires) pipeline.set(key, pack(entity), 'PX', TTL_DAYS * 86_400_000);
        else pipeline.set(key, pack(entity));
      }
      await pipeline.exec();
    }
  } finally {
    redis.disconnect();
  }
}

/** Returns the values of an entity as a program would pack them: integers are numbers, not the API's strings. */
function plainValues(entity: number): unknown[] {
  const values = valuesOf(VIEW, entity);
  return VIEW.features.map(({ type }, index) => (type === 'INT64' ? Number(values[index]) : values[index]));
}

async function layoutsOf(world: World, main: string, entities: number): Promise<Layout[]> {
  const files = await writeTables(world, entities, [PROFILES]);
  // One of the benchmark's own packages, imported by a variable so that the product's type check does not need it.
  const name = '@msgpack/msgpack';
  const { encode } = (await import(name)) as { encode(value: unknown): Uint8Array };
  const named = (entity: number) => {
    const values = plainValues(entity);
    return Object.fromEntries(VIEW.features.map((feature, index) => [feature.name, values[index]]));
  };
  const own = (layout: string, pack: (entity: number) => Buffer): Layout => {
    const load = () => writeValues(world.redisUrl('fragments'), entities, true, pack);
    return { name: layout, keeping: 'fragments', expires: true, load };
  };
  const silent = (): void => {};
  return [
    { name: 'FStore', keeping: 'fstore', expires: true, load: () => loadFStore(world, main, silent, [PROFILES]) },
    own('JSON object', (entity) => Buffer.from(JSON.stringify(named(entity)))),
    own("JSON, the API's answer", (entity) => Buffer.from(answerText(VIEW, entity))),
    own('MessagePack map', (entity) => Buffer.from(encode(named(entity)))),
    own('MessagePack array', (entity) => Buffer.from(encode(plainValues(entity)))),
    { name: 'Feast', keeping: 'feast', expires: false, load: () => loadFeast(world, files, silent, [PROFILES]) },
  ];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      entities: { type: 'string', default: '100000' },
      main: { type: 'string', default: 'dist/main.js' },
      out: { type: 'string' },
    },
  });
  const entities = Number(values.entities);
  await installPackages();
  const world = await createWorld();
  try {
    const measured: Measured[] = [];
    for (const layout of await layoutsOf(world, resolve(values.main), entities)) {
      measured.push(await measure(world, layout, entities));
      process.stderr.write(`${layout.name}: ${Math.round(measured.at(-1)!.usedBytes)} bytes an entity\n`);
    }
    const own = measured[0]!.usedBytes;
    const heads = ['layout', 'MB a million entities', 'against FStore', 'MEMORY USAGE a key', 'value bytes', 'expires'];
    const rows = measured.map(({ layout, usedBytes, keyBytes, valueBytes, expires }) => [
      ...[layout, whole((usedBytes * MILLION) / 1e6), `×${short(usedBytes / own)}`, whole(keyBytes)],
      ...[whole(valueBytes), expires ? 'yes' : 'no'],
    ]);
    const server = world.pool.versions.redis ?? '';
    process.stdout.write(
      `${entities} entities × ${VIEW.features.length} features, ${server}\n\n${table(heads, rows)}\n`,
    );
    if (values.out) writeFileSync(values.out, `${JSON.stringify({ server, entities, measured }, null, 2)}\n`);
  } finally {
    await world.drop();
  }
}

main().then(
  () => process.exit(0),
  (failure) => {
    process.stderr.write(`${failure instanceof Error ? failure.stack : String(failure)}\n`);
    process.exit(1);
  },
);
