/** The traps of kafkajs's producer that KafkaPublisher walks around, played by a Kafka in memory that springs them. */
import { describe, expect, test } from '@jest/globals';
import type { Kafka, Producer, ProducerBatch, RecordMetadata } from 'kafkajs';
import { KafkaPublisher, type PlacedMessage } from '../../../src/bus/event-bus-publisher-kafka.js';

/** One send that waits for the test to answer it. */
interface Send {
  readonly producer: number;
  readonly values: string[];
  confirm(partitions?: readonly number[]): void;
  fail(): void;
}

/** A Kafka whose producers do as the test says. */
class DrivenKafka {
  readonly sends: Send[] = [];
  readonly disconnected: number[] = [];
  readonly #waiting: ((send: Send) => void)[] = [];
  #producers = 0;

  producer(): Partial<Producer> {
    this.#producers += 1;
    const producer = this.#producers;
    return {
      connect: async () => {},
      disconnect: async () => void this.disconnected.push(producer),
      sendBatch: (batch) => new Promise((resolve, reject) => this.#record(producer, batch, resolve, reject)),
    };
  }

  /** The send with this number, once it was made. */
  send(number: number): Promise<Send> {
    const made = this.sends[number];
    return made ? Promise.resolve(made) : new Promise((resolve) => (this.#waiting[number] = resolve));
  }

  #record(
    producer: number,
    { topicMessages = [] }: ProducerBatch,
    resolve: (answers: RecordMetadata[]) => void,
    reject: (error: Error) => void,
  ): void {
    const messages = topicMessages.flatMap(({ topic, messages: list }) => list.map((one) => ({ topic, ...one })));
    const send: Send = {
      producer,
      values: messages.map(({ value }) => String(value)),
      confirm: (partitions = [0, 1, 2, 3]) =>
        resolve(
          messages
            .filter(({ partition = 0 }) => partitions.includes(partition))
            .map(({ topic, partition = 0 }) => ({ topicName: topic, partition, errorCode: 0 })),
        ),
      fail: () => reject(new Error('a failure that the test wants')),
    };
    this.sends.push(send);
    this.#waiting[this.sends.length - 1]?.(send);
  }
}

const placed = (value: string, partition = 0): PlacedMessage => ({ key: null, value: Buffer.from(value), partition });

function create(): { kafka: DrivenKafka; publisher: KafkaPublisher } {
  const kafka = new DrivenKafka();
  return { kafka, publisher: new KafkaPublisher(kafka as unknown as Kafka, () => {}) };
}

describe('KafkaPublisher', () => {
  test('one send is under way at a time, and what comes meanwhile goes with the next, in order', async () => {
    const { kafka, publisher } = create();
    const first = publisher.publish('t', [placed('1'), placed('2')]);
    const send = await kafka.send(0);
    const later = [publisher.publish('t', [placed('3')]), publisher.publish('u', [placed('4')])];
    expect(kafka.sends).toHaveLength(1);
    send.confirm();
    await first;
    const next = await kafka.send(1);
    expect(next.values).toEqual(['3', '4']);
    next.confirm();
    await Promise.all(later);
    expect(kafka.sends.map(({ producer }) => producer)).toEqual([1, 1]);
  });

  test('a producer that failed once is never used again', async () => {
    const { kafka, publisher } = create();
    const failing = publisher.publish('t', [placed('1')]);
    (await kafka.send(0)).fail();
    await expect(failing).rejects.toThrow('a failure that the test wants');
    const next = publisher.publish('t', [placed('2')]);
    (await kafka.send(1)).confirm();
    await next;
    expect(kafka.sends.map(({ producer }) => producer)).toEqual([1, 2]);
    expect(kafka.disconnected).toEqual([1]);
  });

  test('a partition that no broker confirmed is a failure, although the driver reports success', async () => {
    const { kafka, publisher } = create();
    const failing = publisher.publish('t', [placed('1', 0), placed('2', 3)]);
    (await kafka.send(0)).confirm([0]);
    await expect(failing).rejects.toThrow('no broker confirmed partition 3 of t');
  });

  test('after a failure nothing more of the same publish is written, and others go on', async () => {
    const { kafka, publisher } = create();
    const long = publisher.publish(
      't',
      Array.from({ length: 5_000 }, (_, index) => placed(`${index}`)),
    );
    (await kafka.send(0)).confirm();
    const second = await kafka.send(1);
    const other = publisher.publish('t', [placed('other')]);
    second.fail();
    await expect(long).rejects.toThrow('a failure that the test wants');
    (await kafka.send(2)).confirm();
    await other;
    expect(kafka.sends.map(({ values }) => values.length)).toEqual([2_000, 2_000, 1]);
    expect(kafka.sends[2]?.values).toEqual(['other']);
  });

  test('a send stays below what a broker takes at once, but for a message that is larger by itself', async () => {
    const { kafka, publisher } = create();
    const messages = [400_000, 400_000, 400_000, 2_000_000, 10].map((size) => placed('x'.repeat(size)));
    const publishing = publisher.publish('t', messages);
    for (let number = 0; number < 4; number += 1) (await kafka.send(number)).confirm();
    await publishing;
    expect(kafka.sends.map(({ values }) => values.map(({ length }) => length))).toEqual([
      ...[[400_000, 400_000], [400_000], [2_000_000], [10]],
    ]);
  });
});
