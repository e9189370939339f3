/**
 * Delivers changed values from the update topic to the subscribers of this process.
 *
 * Invariants
 * 1. Every process follows the whole topic, so a subscriber sees each update whichever replica it is connected to.
 * 2. A slow subscriber gets the latest update of each entity, in the order in which the entities first changed. Its
 *    queue never holds more than `MAX_QUEUE` entities; beyond that the stream ends with SUBSCRIPTION_OVERFLOW.
 * 3. The cost of routing an update depends on the subscribers of its entity, not on all subscribers.
 * 4. One turn of the event loop serves at most `SERVED_AT_ONCE` streams, so that requests run in between. The other
 *    streams get the latest value in a later turn.
 */
import type { EventBus, ReceivedBatch, Subscription } from '../bus/event-bus.js';
import { decodeUpdates, updateTopic, type ValueUpdate } from '../bus/value-update.js';
import { FStoreError } from '../errors.js';

/**
 * The updates that a stream wants: those of one view, for one entity or (`key` null) for all. Of updates with the same
 * `tag`, the queue keeps only the latest; if `tag` is null, the entity's key is the tag.
 */
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
/** Serving one stream takes about 50 µs, because the operation is executed and sent. */
const SERVED_AT_ONCE = 200;

/** Divides turns of the event loop among the streams that have something to deliver. */
class Pace {
  readonly #behind = new Set<UpdateStream>();
  #room = SERVED_AT_ONCE;

  /** Returns whether a stream may be served in this turn. If not, it is served in a later turn. */
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

/** The updates of one subscription, as an async iterator. */
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

  /** Delivers an update to the waiting reader, or queues it in place of an older one of the same tag. */
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

  /** Delivers the first queued update to the waiting reader, if both exist. */
  serve(): void {
    const item = this.#waiting && this.#take();
    if (item) this.#answer(item);
  }

  /** Resolves with the next update. Rejects with SUBSCRIPTION_OVERFLOW if the queue overflowed. */
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

  /** Ends the stream and drops its queue. */
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
    const waiting = this.#waiting;
    this.#waiting = null;
    const error = this.#error;
    if (waiting && error) {
      this.#error = null;
      waiting.reject(error);
    } else waiting?.resolve({ done: true, value: undefined });
  }
}

/** Follows the update topic and routes each update to the open streams that want it. */
export class UpdateFeed {
  readonly #routes = new Map<string, Set<Interested>>();
  readonly #streams = new Set<UpdateStream>();
  readonly #pace = new Pace();
  #subscription: Subscription | null = null;

  /** Starts to follow the update topic of a project. */
  async start(bus: EventBus, project: string): Promise<void> {
    await bus.ensureTopics([updateTopic(project)]);
    this.#subscription = await bus.follow(updateTopic(project), (batch) => this.#route(batch));
  }

  /** The number of open streams. */
  get size(): number {
    return this.#streams.size;
  }

  /**
   * Opens a stream of the updates that `interests` name. It delivers every update that arrives from this moment on.
   */
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

  /** Ends all streams and stops following the topic. */
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
