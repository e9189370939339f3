import { describe, expect, test } from '@jest/globals';
import { MissQueue } from '../../src/retrieval/miss-queue.js';
import { exampleView } from './fakes/example-view.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A queue whose batches are answered by hand. */
function queueByHand() {
  const batches: { readonly misses: readonly string[]; readonly answer: () => void }[] = [];
  const queue = new MissQueue<string>(
    (_, misses) =>
      new Promise((answer) => {
        batches.push({ misses: [...misses], answer });
      }),
  );
  return { queue, batches, shown: () => batches.map(({ misses }) => misses.join(' ')) };
}

describe('a queue of misses', () => {
  test('makes one batch of a turn, and resolves when it is answered', async () => {
    const { queue, batches, shown } = queueByHand();
    let answered = 0;
    for (const miss of ['a', 'b']) void queue.add(exampleView, [miss]).then(() => answered++);
    expect(shown()).toEqual([]);
    await turn();
    expect([shown(), answered]).toEqual([['a b'], 0]);
    batches[0]?.answer();
    await turn();
    expect(answered).toBe(2);
  });

  test('has two under way, and gathers what comes meanwhile until one of them is answered', async () => {
    const { queue, batches, shown } = queueByHand();
    for (const miss of ['a', 'b', 'c', 'd']) {
      void queue.add(exampleView, [miss]);
      await turn();
    }
    expect(shown()).toEqual(['a', 'b']);
    batches[1]?.answer();
    await turn();
    expect(shown()).toEqual(['a', 'b', 'c d']);
  });

  test('does not wait for ever for those that are under way', async () => {
    const { queue, shown } = queueByHand();
    for (const miss of ['a', 'b', 'c', 'd']) {
      void queue.add(exampleView, [miss]);
      await turn();
    }
    while (shown().length < 3) await turn();
    expect(shown()).toEqual(['a', 'b', 'c d']);
  });

  test('keeps what one request misses together, and apart from others if they are many', async () => {
    const { queue, shown } = queueByHand();
    void queue.add(exampleView, ['few']);
    void queue.add(exampleView, new Array<string>(1_000).fill('many'));
    await turn();
    expect(shown().map((batch) => batch.split(' ').length)).toEqual([1, 1_000]);
  });

  test('lets no view wait for another', async () => {
    const { queue, shown } = queueByHand();
    for (const miss of ['a', 'b', 'c']) {
      void queue.add(exampleView, [miss]);
      await turn();
    }
    void queue.add({ ...exampleView }, ['other']);
    await turn();
    expect(shown()).toEqual(['a', 'b', 'other']);
  });
});
