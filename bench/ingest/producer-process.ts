/** The producer as its parent sees it: a separate process that writes to a topic on request. */
import { type ChildProcess, fork } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Order, Produced, ProduceOrder } from './producer.js';
import type { ProducedEvent } from './views.js';

/** Starts and controls the producer process. */
export class ProducerProcess {
  readonly #child: ChildProcess;
  readonly #connection: { readonly brokers: readonly string[]; readonly topic: string; readonly users: number };

  constructor(brokers: readonly string[], topic: string, users: number) {
    this.#connection = { brokers, topic, users };
    const file = fileURLToPath(new URL('producer.ts', import.meta.url));
    // kafkajs warns about its partitioner, which is the default of all Kafka clients.
    const env = { ...process.env, KAFKAJS_NO_PARTITIONER_WARNING: '1' };
    this.#child = fork(file, { execArgv: ['--import', 'tsx'], env });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  produce(order: Pick<ProduceOrder, 'count' | 'rate' | 'spread'>): Promise<Produced> {
    return this.#ask({ kind: 'produce', ...this.#connection, ...order }) as Promise<Produced>;
  }

  /** Returns all events that were produced. */
  async events(folder: string): Promise<ProducedEvent[]> {
    const file = join(folder, 'produced.bin');
    await this.#ask({ kind: 'dump', file });
    const bytes = await readFile(file);
    const numbers = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
    return Array.from({ length: numbers.length / 3 }, (_, index) => {
      return { user: `u${numbers[3 * index]}`, amount: numbers[3 * index + 1]!, eventTime: numbers[3 * index + 2]! };
    });
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #ask(order: Order): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('the producer has ended'));
      this.#child.once('exit', onExit);
      this.#child.once('message', ({ result, error }: { result?: unknown; error?: string }) => {
        this.#child.off('exit', onExit);
        if (error === undefined) resolve(result);
        else reject(new Error(`the producer failed: ${error}`));
      });
      this.#child.send(order);
    });
  }
}
