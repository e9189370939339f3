/**
 * Runs a subscription on the schema that it began on, and ends it when that schema's fields are removed or changed.
 *
 * Both subscription transports, WebSocket and SSE, call `subscribeLive`.
 *
 * Invariant: `return` ends a stream at once, also while a result is awaited. The awaited result is dropped, and the source is freed.
 */
import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, GraphQLError } from 'graphql';
import { FStoreError } from '../errors.js';
import type { LiveSchema } from './live-schema.js';
import { findChangedField, footprintOf } from './operation-footprint.js';
import type { RequestContext } from './request-context.js';

type Results = AsyncGenerator<ExecutionResult, void, void>;
type Step = IteratorResult<ExecutionResult, void>;

/**
 * Runs the operation for each event, within the limits of one answer. It is not a generator, because `return` of a generator waits for a
 * `next` that has not ended.
 */
function answerEvents(args: ExecutionArgs, events: AsyncIterable<unknown>): AsyncIterator<ExecutionResult, void, void> {
  const context = args.contextValue as RequestContext;
  const source = events[Symbol.asyncIterator]();
  const done = { done: true, value: undefined } as const;
  return {
    next: async () => {
      const event = await source.next();
      if (event.done) return done;
      return { done: false, value: await context.answerEvent({ ...args, rootValue: event.value }) };
    },
    return: async () => {
      await source.return?.();
      return done;
    },
  };
}

/** Returns a GraphQL result that consists of this error. */
function resultOf(error: FStoreError): ExecutionResult {
  return { errors: [new GraphQLError(error.message, { originalError: error })] };
}

/** An async generator would not do: its `return` waits for the result that is awaited, which may never come. */
class LiveStream implements Results {
  readonly #source: AsyncIterator<ExecutionResult, void, void>;
  #forget: () => void = () => {};
  #isEnded = false;
  /** Sent as the last result. */
  #last: FStoreError | null = null;
  #answer: ((step: Step) => void) | null = null;

  constructor(source: AsyncIterator<ExecutionResult, void, void>) {
    this.#source = source;
  }

  /** Calls `forget` when the stream ends. */
  onEnd(forget: () => void): void {
    this.#forget = forget;
  }

  /** Ends the stream with an error as its last result. */
  endWith(error: FStoreError): void {
    if (this.#isEnded || this.#last) return;
    this.#last = error;
    if (this.#answer) this.#settle({ done: false, value: resultOf(error) });
  }

  next(): Promise<Step> {
    return new Promise((resolve, reject) => {
      this.#answer = resolve;
      if (this.#last) return this.#settle(this.#isEnded ? DONE : { done: false, value: resultOf(this.#last) });
      if (this.#isEnded) return this.#settle(DONE);
      this.#source.next().then(
        (step) => {
          if (this.#answer === resolve) this.#settle(step.done ? DONE : step);
        },
        (error: unknown) => {
          if (this.#answer !== resolve) return;
          const original = error instanceof GraphQLError ? error.originalError : error;
          if (original instanceof FStoreError) return this.endWith(original);
          this.#end();
          reject(error);
        },
      );
    });
  }

  async return(): Promise<Step> {
    this.#end();
    if (this.#answer) this.#settle(DONE);
    return DONE;
  }

  async throw(error: unknown): Promise<Step> {
    await this.return();
    throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #settle(step: Step): void {
    const answer = this.#answer;
    this.#answer = null;
    if (step.done || this.#last) this.#end();
    answer?.(step);
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#forget();
    this.#source.return?.().catch(() => {});
  }
}

const DONE: Step = { done: true, value: undefined };

/**
 * Like graphql-js' `subscribe`, but the stream ends with one SUBSCRIPTION_SCHEMA_RELOAD result when a published schema
 * removes or changes a selected field, and with the code of any other FStoreError that ends its source.
 */
export async function subscribeLive(args: ExecutionArgs, live: LiveSchema): Promise<Results | ExecutionResult> {
  const events = await createSourceEventStream(args);
  if (!(Symbol.asyncIterator in events)) return events;
  const results = answerEvents(args, events);
  const footprint = footprintOf(args.document, args.schema);
  const stream = new LiveStream(results);
  const check = ({ schema }: { schema: ExecutionArgs['schema'] }): void => {
    const field = findChangedField(footprint, schema);
    if (field)
      stream.endWith(new FStoreError('SUBSCRIPTION_SCHEMA_RELOAD', `${field} was removed or changed`, { field }));
  };
  stream.onEnd(live.onPublish(check));
  // The schema may have been exchanged while the subscription was being set up.
  if (live.current.schema !== args.schema) check(live.current);
  return stream;
}
