/**
 * Brings changed values from the update topic to the subscribers of this process.
 *
 * Invariants
 * 1. Every process follows the whole topic: a subscriber sees each update, whichever replica it is connected to.
 * 2. A subscriber that reads slowly gets the latest update of each entity, in the order in which entities first changed;
 *    its queue never holds more than `maxQueue` entities: beyond that the stream ends with SUBSCRIPTION_OVERFLOW.
 * 3. Routing an update costs the subscribers of its entity, not all subscribers.
 * 4. Requests are let in after each few hundred deliveries, however many subscribers a batch has.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { EventBus, ReceivedBatch, Subscription } from '../bus/event-bus.js';
import { decodeUpdates, updateTopic, type ValueUpdate } from '../bus/value-update.js';
import { FStoreError } from '../errors.js';

/** What a stream wants: updates of one view, of one entity or of all. `tag` names the queue place; null: the entity. */
export interface UpdateInterest {
  readonly view: string;
  readonly key: string | null;
  readonly tag: string | null;
}

/** An update as a stream delivers it. */
export interface StreamedUpdate {
  readonly update: ValueUpdate;
  readonly tag: string | null;
}

interface Interested {
  readonly stream: UpdateStream;
  readonly tag: string | null;
}

const MAX_QUEUE = 10_000;
/** Whoever waits is answered at once, which takes some 50 µs of each. */
const DELIVERIES_AT_ONCE = 200;

/** The updates for one subscription, as an async iterator. */
export class UpdateStream implements AsyncIterableIterator<StreamedUpdate> {
  readonly #queue = new Map<string, StreamedUpdate>();
  readonly #onEnd: () => void;
  #waiting: { resolve: (result: IteratorResult<StreamedUpdate>) => void; reject: (error: unknown) => void } | null =
    null;
  #ended = false;
  #error: unknown = null;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  push(update: ValueUpdate, tag: string | null): void {
    if (this.#ended) return;
    const item = { update, tag };
    if (this.#waiting) {
      const { resolve } = this.#waiting;
      this.#waiting = null;
      resolve({ done: false, value: item });
      return;
    }
    this.#queue.set(`${update.view} ${tag ?? update.key.text}`, item);
    if (this.#queue.size > MAX_QUEUE) {
      this.#queue.clear();
      this.#error = new FStoreError(
        'SUBSCRIPTION_OVERFLOW',
        `more than ${MAX_QUEUE} entities changed since the last read`,
      );
      this.#end();
    }
  }

  async next(): Promise<IteratorResult<StreamedUpdate>> {
    for (const [id, item] of this.#queue) {
      this.#queue.delete(id);
      return { done: false, value: item };
    }
    if (this.#error) {
      const error = this.#error;
      this.#error = null;
      throw error;
    }
    if (this.#ended) return { done: true, value: undefined };
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  async return(): Promise<IteratorResult<StreamedUpdate>> {
    this.#queue.clear();
    this.#end();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<IteratorResult<StreamedUpdate>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    this.#waiting?.resolve({ done: true, value: undefined });
    this.#waiting = null;
  }
}

export class UpdateFeed {
  readonly #routes = new Map<string, Set<Interested>>();
  readonly #streams = new Set<UpdateStream>();
  #subscription: Subscription | null = null;

  /** Follows the update topic of a project. */
  async start(bus: EventBus, project: string): Promise<void> {
    await bus.ensureTopics([updateTopic(project)]);
    this.#subscription = await bus.follow(updateTopic(project), (batch) => this.#route(batch));
  }

  /** How many streams are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** Opens a stream of what `interests` name. The stream sees every update that arrives from now on. */
  open(interests: readonly UpdateInterest[]): UpdateStream {
    const registered: [string, Interested][] = [];
    const stream = new UpdateStream(() => {
      this.#streams.delete(stream);
      for (const [route, interested] of registered) {
        const set = this.#routes.get(route);
        set?.delete(interested);
        if (set?.size === 0) this.#routes.delete(route);
      }
    });
    this.#streams.add(stream);
    for (const { view, key, tag } of interests) {
      const route = routeOf(view, key);
      const interested = { stream, tag };
      const set = this.#routes.get(route);
      if (set) set.add(interested);
      else this.#routes.set(route, new Set([interested]));
      registered.push([route, interested]);
    }
    return stream;
  }

  /** Ends all streams and stops following. */
  async stop(): Promise<void> {
    for (const stream of [...this.#streams]) await stream.return();
    await this.#subscription?.stop();
  }

  async #route(batch: ReceivedBatch): Promise<void> {
    if (this.#routes.size === 0) return;
    let deliveries = 0;
    for (const update of batch.messages.flatMap(decodeUpdates)) {
      for (const route of [routeOf(update.view, update.key.text), routeOf(update.view, null)]) {
        for (const { stream, tag } of [...(this.#routes.get(route) ?? [])]) {
          stream.push(update, tag);
          deliveries += 1;
          if (deliveries % DELIVERIES_AT_ONCE === 0) await turn();
        }
      }
    }
  }
}

function routeOf(view: string, key: string | null): string {
  return key === null ? view : `${view} ${key}`;
}
