/**
 * Runs a subscription on the schema that it began on, and ends it when that schema's fields are removed or changed.
 *
 * Both subscription transports, WebSocket and SSE, call `subscribeLive`.
 */
import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, GraphQLError } from 'graphql';
import { FStoreError } from '../errors.js';
import type { LiveSchema } from './live-schema.js';
import { findChangedField, footprintOf } from './operation-footprint.js';
import type { RequestContext } from './request-context.js';

type Results = AsyncGenerator<ExecutionResult, void, void>;

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

/**
 * Lets an error end a wait for the next result. `Promise.race` with a long-lived promise would work too. But that
 * promise would retain every result that it was raced with, for as long as the subscription lasts.
 */
class Interruption {
  #error: FStoreError | null = null;
  #interrupt: (end: { readonly error: FStoreError }) => void = () => {};

  /** Ends the current wait, or the next one, with this error. */
  announce(error: FStoreError): void {
    this.#error ??= error;
    this.#interrupt({ error: this.#error });
  }

  /** Resolves with the value of `result`, or with the announced error if that comes first. */
  orResult<T>(result: Promise<T>): Promise<T | { readonly error: FStoreError }> {
    return new Promise((resolve, reject) => {
      this.#interrupt = resolve;
      result.then(resolve, reject);
      if (this.#error) resolve({ error: this.#error });
    });
  }
}

/** Returns a GraphQL result that consists of this error. */
function resultOf(error: FStoreError): ExecutionResult {
  return { errors: [new GraphQLError(error.message, { originalError: error })] };
}

/**
 * Works like graphql-js' `subscribe`, but turns the end of a stream into one result. That is SUBSCRIPTION_SCHEMA_RELOAD
 * when a published schema removes or changes a selected field, and otherwise the FStoreError that ended the source.
 */
export async function subscribeLive(args: ExecutionArgs, live: LiveSchema): Promise<Results | ExecutionResult> {
  const events = await createSourceEventStream(args);
  if (!(Symbol.asyncIterator in events)) return events;
  const results = answerEvents(args, events);
  const footprint = footprintOf(args.document, args.schema);
  const reload = new Interruption();
  const check = ({ schema }: { schema: ExecutionArgs['schema'] }): void => {
    const field = findChangedField(footprint, schema);
    if (field) {
      reload.announce(new FStoreError('SUBSCRIPTION_SCHEMA_RELOAD', `${field} was removed or changed`, { field }));
    }
  };
  const forget = live.onPublish(check);
  // The schema may have been replaced while the subscription was being set up.
  if (live.current.schema !== args.schema) check(live.current);
  return endWith(results, reload, forget);
}

async function* endWith(
  results: AsyncIterator<ExecutionResult, void, void>,
  reload: Interruption,
  forget: () => void,
): Results {
  try {
    while (true) {
      const next = await reload.orResult(results.next());
      if ('error' in next) {
        yield resultOf(next.error);
        return;
      }
      if (next.done) return;
      yield next.value;
    }
  } catch (error) {
    const original = error instanceof GraphQLError ? error.originalError : error;
    if (!(original instanceof FStoreError)) throw error;
    yield resultOf(original);
  } finally {
    forget();
    await results.return?.();
  }
}
