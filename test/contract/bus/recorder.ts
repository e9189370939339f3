/** What a handler of the event bus got, with the checks that every test makes on the way. */
import type { ReceivedBatch } from '../../../src/bus/event-bus.js';

export class Recorder {
  readonly values: string[] = [];
  readonly batches: ReceivedBatch[] = [];
  /** Violations of the port that were seen on the way; empty, if all is well. */
  readonly violations: string[] = [];
  readonly #running = new Set<number>();

  /** Records a batch, and what is wrong with it. */
  take(batch: ReceivedBatch): void {
    if (batch.messages.length === 0) this.violations.push('an empty batch');
    for (const [index, { offset }] of batch.messages.entries()) {
      const previous = batch.messages[index - 1];
      if (previous && previous.offset >= offset) this.violations.push(`offset ${offset} after ${previous.offset}`);
    }
    this.batches.push(batch);
    this.values.push(...batch.messages.map(({ value }) => value.toString()));
  }

  /** A handler that takes a moment, and notices another that handles the same partition meanwhile. */
  readonly handler = async (batch: ReceivedBatch): Promise<void> => {
    if (this.#running.has(batch.partition)) this.violations.push(`two handlers at once on ${batch.partition}`);
    this.#running.add(batch.partition);
    await new Promise((resolve) => setTimeout(resolve, 5));
    this.take(batch);
    this.#running.delete(batch.partition);
  };

  /** Partitions that a value came from. */
  partitionsOf(value: string): Set<number> {
    const from = this.batches.filter(({ messages }) => messages.some((one) => one.value.toString() === value));
    return new Set(from.map(({ partition }) => partition));
  }
}
