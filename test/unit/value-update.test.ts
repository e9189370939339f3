import { expect, test } from '@jest/globals';
import { decodeUpdates, encodeUpdates, type ValueUpdate } from '../../src/bus/value-update.js';
import { entityKey } from '../../src/definition/entity-key.js';

const received = (messages: ReturnType<typeof encodeUpdates>) =>
  messages.map((message, index) => ({ ...message, headers: message.headers ?? {}, offset: BigInt(index) }));

test('updates travel in few messages, those of one entity in order under one key', () => {
  const updates = Array.from({ length: 5_000 }, (_, index): ValueUpdate => {
    return { view: `v@${index % 3}`, key: entityKey([`u${index % 40}`, 'é|"']), value: Buffer.alloc(200, index % 256) };
  });
  const messages = received(encodeUpdates(updates));
  expect(messages.length).toBeLessThan(40);
  for (const { value } of messages) expect(value.length).toBeLessThanOrEqual(256_000);
  const keys = new Map<string, Set<string | null>>();
  const back = messages.flatMap((message) => {
    const some = decodeUpdates(message);
    for (const { key } of some) keys.set(key.text, (keys.get(key.text) ?? new Set()).add(message.key));
    return some;
  });
  expect([...keys.values()].every((set) => set.size === 1)).toBe(true);
  for (const user of new Set(updates.map(({ key }) => key.text))) {
    const ofUser = (list: readonly ValueUpdate[]) => list.filter(({ key }) => key.text === user);
    expect(ofUser(back)).toEqual(ofUser(updates));
  }
});

test('what holds no updates, or was cut short, gives none', () => {
  const [message] = received(encodeUpdates([{ view: 'v@1', key: entityKey(['a']), value: Buffer.from('abc') }]));
  expect(decodeUpdates({ ...message!, headers: {} })).toEqual([]);
  for (let length = 1; length < message!.value.length; length += 1) {
    expect(decodeUpdates({ ...message!, value: message!.value.subarray(0, length) })).toEqual([]);
  }
});
