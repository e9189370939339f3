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
  let announce: (error: FStoreError) => void = () => {};
  const reloaded = new Promise<FStoreError>((resolve) => {
    announce = resolve;
  });
  const check = ({ schema }: { schema: ExecutionArgs['schema'] }): void => {
    const field = findChangedField(footprint, schema);
    if (field) announce(new FStoreError('SUBSCRIPTION_SCHEMA_RELOAD', `${field} was removed or changed`, { field }));
  };
  const forget = live.onPublish(check);
  // The schema may have been exchanged while the subscription was being set up.
  if (live.current.schema !== args.schema) check(live.current);
  return endWith(results, reloaded, forget);
}

async function* endWith(results: Results, reloaded: Promise<FStoreError>, forget: () => void): Results {
  const end = reloaded.then((error) => ({ error }));
  try {
    while (true) {
      const next = await Promise.race([end, results.next()]);
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
