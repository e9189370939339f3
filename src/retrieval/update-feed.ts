/**
 * Brings changed values from the update topic to the subscribers of this process.
 *
 * Invariants
 * 1. Every process follows the whole topic: a subscriber sees each update, whichever replica it is connected to.
 * 2. A subscriber that reads slowly gets the latest update of each entity, in the order in which entities first changed;
 *    its queue never holds more than `maxQueue` entities: beyond that the stream ends with SUBSCRIPTION_OVERFLOW.
 * 3. Routing an update costs the subscribers of its entity, not all subscribers.
 * 4. A turn of the event loop serves a few hundred streams, so that requests are let in between; the others get what is the latest when
 *    their turn has come.
 */
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
/** Each takes some 50 µs: the operation is executed and sent. */
const SERVED_AT_ONCE = 200;

/** Deals out turns of the event loop among streams that wait and have something to get. */
class Pace {
  readonly #behind = new Set<UpdateStream>();
  #room = SERVED_AT_ONCE;

  /** Whether a stream may be served now; one that may not is served in a later turn. */
  mayServe(stream: UpdateStream): boolean {
    if (this.#room === SERVED_AT_ONCE) setImmediate(() => this.#nextTurn());
    if (this.#room > 0) {
      this.#room -= 1;
      return true;
    }
    this.#behind.add(stream);
    return false;
  }

  #nextTurn(): void {
    this.#room = SERVED_AT_ONCE;
    for (const stream of this.#behind) {
      if (!this.mayServe(stream)) break;
      this.#behind.delete(stream);
      stream.serve();
    }
  }
}

/** The updates for one subscription, as an async iterator. */
export class UpdateStream implements AsyncIterableIterator<StreamedUpdate> {
  readonly #queue = new Map<string, StreamedUpdate>();
  readonly #pace: Pace;
  readonly #onEnd: () => void;
  #waiting: { resolve: (result: IteratorResult<StreamedUpdate>) => void; reject: (error: unknown) => void } | null =
    null;
  #ended = false;
  #error: unknown = null;

  constructor(pace: Pace, onEnd: () => void) {
    this.#pace = pace;
    this.#onEnd = onEnd;
  }

  push(update: ValueUpdate, tag: string | null): void {
    if (this.#ended) return;
    const item = { update, tag };
    if (this.#waiting && this.#queue.size === 0 && this.#pace.mayServe(this)) {
      this.#answer(item);
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

  /** Gives the one that waits what is first in the queue. */
  serve(): void {
    const item = this.#waiting && this.#take();
    if (item) this.#answer(item);
  }

  async next(): Promise<IteratorResult<StreamedUpdate>> {
    if (this.#queue.size > 0 && this.#pace.mayServe(this)) return { done: false, value: this.#take()! };
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

  #take(): StreamedUpdate | null {
    for (const [id, item] of this.#queue) {
      this.#queue.delete(id);
      return item;
    }
    return null;
  }

  #answer(item: StreamedUpdate): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve({ done: false, value: item });
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
  readonly #pace = new Pace();
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
    const stream = new UpdateStream(this.#pace, () => {
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

  #route(batch: ReceivedBatch): void {
    if (this.#routes.size === 0) return;
    for (const update of batch.messages.flatMap(decodeUpdates)) {
      for (const route of [routeOf(update.view, update.key.text), routeOf(update.view, null)]) {
        for (const { stream, tag } of this.#routes.get(route) ?? []) stream.push(update, tag);
      }
    }
  }
}

function routeOf(view: string, key: string | null): string {
  return key === null ? view : `${view} ${key}`;
}
