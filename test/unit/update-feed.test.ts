import { describe, expect, test } from '@jest/globals';
import { encodeUpdates, updateTopic } from '../../src/bus/value-update.js';
import { entityKey } from '../../src/definition/entity-key.js';
import { UpdateFeed } from '../../src/retrieval/update-feed.js';
import { MemoryBus } from './fakes/memory-bus.js';

const VIEW = 'user_stats@1';
const SUBSCRIBERS = 2_000;

describe('the update feed', () => {
  test('lets requests in while it serves many subscribers, in the order of the updates', async () => {
    const [bus, feed] = [new MemoryBus(), new UpdateFeed()];
    await feed.start(bus, 'test');
    let turns = 0;
    let running = true;
    const count = (): void => {
      turns += 1;
      if (running) setImmediate(count);
    };
    setImmediate(count);
    const key = entityKey(['u1']);
    const served = Array.from({ length: SUBSCRIBERS }, async () => {
      const stream = feed.open([{ view: VIEW, key: key.text, tag: null }]);
      const first = await stream.next();
      const servedIn = turns;
      const second = await stream.next();
      return { servedIn, values: [first, second].map(({ value }) => `${value?.update.value}`) };
    });
    const updates = ['1', '2'].map((value) => ({ view: VIEW, key, value: Buffer.from(value) }));
    await bus.publish(updateTopic('test'), encodeUpdates(updates));
    const found = await Promise.all(served);
    running = false;
    expect(new Set(found.map(({ values }) => values.join()))).toEqual(new Set(['1,2']));
    expect(new Set(found.map(({ servedIn }) => servedIn)).size).toBeGreaterThan(5);
    await feed.stop();
  });
});
