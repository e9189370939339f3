import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { encodeUpdates, updateTopic } from '../../src/bus/value-update.js';
import { entityKey } from '../../src/definition/entity-key.js';
import { UpdateFeed } from '../../src/retrieval/update-feed.js';
import { MemoryBus } from './fakes/memory-bus.js';

const VIEW = 'user_stats@1';
const key = entityKey(['u1']);

let bus: MemoryBus;
let feed: UpdateFeed;
beforeEach(async () => {
  [bus, feed] = [new MemoryBus(), new UpdateFeed()];
  await feed.start(bus, 'test');
});
afterEach(() => feed.stop());

const publish = (...values: string[]) =>
  bus.publish(
    updateTopic('test'),
    encodeUpdates(values.map((value) => ({ view: VIEW, key, value: Buffer.from(value) }))),
  );

/** Reads until a value comes; what came until then, and in which turn of the event loop the first did. */
async function readUntil(last: string, turnOf: () => number): Promise<{ values: string[]; turn: number }> {
  const stream = feed.open([{ view: VIEW, key: key.text, tag: null }]);
  const values: string[] = [];
  let turn = -1;
  for await (const { update } of stream) {
    if (turn < 0) turn = turnOf();
    values.push(`${update.value}`);
    if (values.at(-1) === last) break;
  }
  return { values, turn };
}

describe('the update feed', () => {
  test('gives whoever waits the first of a batch at once, and then the latest', async () => {
    const read = Array.from({ length: 20 }, () => readUntil('3', () => 0));
    await publish('1', '2', '3');
    for (const { values } of await Promise.all(read)) expect(values).toEqual(['1', '3']);
    expect(feed.size).toBe(0);
  });

  test('lets requests in while it serves many, who get the latest when their turn has come', async () => {
    let [turns, running] = [0, true];
    const count = (): void => {
      turns += 1;
      if (running) setImmediate(count);
    };
    setImmediate(count);
    const read = Array.from({ length: 2_000 }, () => readUntil('2', () => turns));
    await publish('1', '2');
    const found = await Promise.all(read);
    running = false;
    expect(new Set(found.map(({ values }) => values.join()))).toEqual(new Set(['1,2', '2']));
    expect(found.filter(({ values }) => values.length === 1).length).toBeGreaterThan(1_000);
    expect(new Set(found.map(({ turn }) => turn)).size).toBeGreaterThan(5);
    expect(feed.size).toBe(0);
  });
});
