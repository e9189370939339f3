/**
 * Runs a subscription on the schema that it began on, and ends it when that schema's fields go away.
 *
 * Both doors, WebSocket and SSE, subscribe through here.
 */
import { type ExecutionArgs, type ExecutionResult, GraphQLError, subscribe } from 'graphql';
import { FStoreError } from '../errors.js';
import type { LiveSchema } from './live-schema.js';
import { findChangedField, footprintOf } from './operation-footprint.js';

type Results = AsyncGenerator<ExecutionResult, void, void>;

function isStream(value: unknown): value is Results {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/**
 * Ends a wait from elsewhere. `Promise.race` with a promise that stays open would do, but that promise would keep every result that it
 * was raced with, for as long as the subscription lasts.
 */
class Interruption {
  #error: FStoreError | null = null;
  #interrupt: (end: { readonly error: FStoreError }) => void = () => {};

  announce(error: FStoreError): void {
    this.#error ??= error;
    this.#interrupt({ error: this.#error });
  }

  /** What `result` resolves to, or what is announced before. */
  orResult<T>(result: Promise<T>): Promise<T | { readonly error: FStoreError }> {
    return new Promise((resolve, reject) => {
      this.#interrupt = resolve;
      result.then(resolve, reject);
      if (this.#error) resolve({ error: this.#error });
    });
  }
}

/** An error of the table as the errors of a GraphQL result. */
function resultOf(error: FStoreError): ExecutionResult {
  return { errors: [new GraphQLError(error.message, { originalError: error })] };
}

/**
 * Like graphql-js' `subscribe`, but the stream ends with one SUBSCRIPTION_SCHEMA_RELOAD result when a published schema
 * removes or changes a selected field, and with the code of any other FStoreError that ends its source.
 */
export async function subscribeLive(args: ExecutionArgs, live: LiveSchema): Promise<Results | ExecutionResult> {
  const results = await subscribe(args);
  if (!isStream(results)) return results;
  const footprint = footprintOf(args.document, args.schema);
  const reload = new Interruption();
  const check = ({ schema }: { schema: ExecutionArgs['schema'] }): void => {
    const field = findChangedField(footprint, schema);
    if (field) {
      reload.announce(new FStoreError('SUBSCRIPTION_SCHEMA_RELOAD', `${field} was removed or changed`, { field }));
    }
  };
  const forget = live.onPublish(check);
  // The schema may have been exchanged while the subscription was being set up.
  if (live.current.schema !== args.schema) check(live.current);
  return endWith(results, reload, forget);
}

async function* endWith(results: Results, reload: Interruption, forget: () => void): Results {
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
