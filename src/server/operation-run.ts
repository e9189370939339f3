/**
 * Begins operations that come over WebSocket or SSE, within the limits that both share.
 *
 * Invariants
 * 1. No operation makes `begin` throw: a defect is reported and answered as INTERNAL, for this operation alone.
 * 2. An operation counts against FSTORE_MAX_IN_FLIGHT until its answer is there, or until its stream is open.
 * 3. `Begun.end` frees everything at once, also while a result is awaited.
 */
import { type ExecutionArgs, type ExecutionResult, GraphQLError, getOperationAST } from 'graphql';
import { FStoreError } from '../errors.js';
import type { LiveSchema } from '../schema/live-schema.js';
import { subscribeLive } from '../schema/live-subscription.js';
import { RequestContext, type RequestServices } from '../schema/request-context.js';
import type { ReportDefect } from './graphql-error.js';
import type { LoadLimit } from './load-limit.js';
import type { OperationGate, OperationRequest } from './operation-gate.js';

export interface OperationRunOptions {
  readonly live: LiveSchema;
  readonly services: RequestServices;
  readonly gate: OperationGate;
  readonly load: LoadLimit;
  readonly report: ReportDefect;
  readonly maxSubscriptions: number;
  readonly maxSubscriptionsPerConnection: number;
}

/** A connection whose subscriptions are counted. */
export interface Subscriber {
  readonly actor: string;
  subscriptions: number;
}

/** An operation that has begun: `errors` if it was refused, one `result`, or a stream of `results`, to be ended by the caller. */
export type Begun =
  | { readonly kind: 'refused'; readonly errors: readonly GraphQLError[] }
  | { readonly kind: 'result'; readonly result: ExecutionResult }
  | {
      readonly kind: 'stream';
      readonly results: AsyncGenerator<ExecutionResult, void, void>;
      readonly end: () => void;
    };

function refuse(error: unknown): Begun {
  // What graphql-js cannot handle for its depth overflows the stack.
  const known =
    error instanceof RangeError
      ? new FStoreError('OPERATION_TOO_COMPLEX', 'the operation or its variables are nested too deeply')
      : (error as Error);
  return { kind: 'refused', errors: [new GraphQLError(known.message, { originalError: known })] };
}

export class OperationRun {
  readonly #options: OperationRunOptions;
  #subscriptions = 0;

  constructor(options: OperationRunOptions) {
    this.#options = options;
  }

  get report(): ReportDefect {
    return this.#options.report;
  }

  /**
   * Begins an operation for a subscriber. A GET only reads: a page or a link can cause one, so it runs no mutation.
   */
  async begin(request: OperationRequest, subscriber: Subscriber, method: 'GET' | 'POST' = 'POST'): Promise<Begun> {
    const { gate, services, load } = this.#options;
    if (load.isFull) {
      load.shed += 1;
      return refuse(new FStoreError('OVERLOADED', 'too many requests are in flight'));
    }
    load.enter();
    try {
      const context = new RequestContext(services, subscriber.actor);
      const prepared = gate.prepare(request, context);
      if (!('document' in prepared)) return { kind: 'refused', errors: prepared };
      const operation = getOperationAST(prepared.document, prepared.operationName);
      if (!operation) {
        const message = 'the document has no operation of this name, or several operations and no name is given';
        return refuse(new FStoreError('BAD_REQUEST', message, { field: 'operationName' }));
      }
      if (operation.operation === 'mutation' && method === 'GET') {
        return refuse(new FStoreError('METHOD_NOT_ALLOWED', 'a GET runs no mutation; send it with POST'));
      }
      if (operation.operation === 'subscription') return await this.#subscribe(prepared, subscriber);
      return { kind: 'result', result: await context.response.run(prepared) };
    } catch (error) {
      return refuse(error);
    } finally {
      load.leave();
    }
  }

  async #subscribe(args: ExecutionArgs, subscriber: Subscriber): Promise<Begun> {
    const { live, maxSubscriptions, maxSubscriptionsPerConnection } = this.#options;
    if (subscriber.subscriptions >= maxSubscriptionsPerConnection || this.#subscriptions >= maxSubscriptions) {
      const message =
        this.#subscriptions >= maxSubscriptions
          ? `this process has ${this.#subscriptions} subscriptions, as many as FSTORE_MAX_SUBSCRIPTIONS allows`
          : `this connection has ${subscriber.subscriptions} subscriptions, as many as one connection may have`;
      return refuse(new FStoreError('TOO_MANY_SUBSCRIPTIONS', message));
    }
    this.#count(subscriber, 1);
    let open = true;
    const leave = (): void => {
      if (open) this.#count(subscriber, -1);
      open = false;
    };
    try {
      const results = await subscribeLive(args, live);
      if (!(Symbol.asyncIterator in results)) {
        leave();
        return { kind: 'result', result: results };
      }
      const end = (): void => {
        leave();
        void results.return();
      };
      return { kind: 'stream', results, end };
    } catch (error) {
      leave();
      throw error;
    }
  }

  #count(subscriber: Subscriber, change: 1 | -1): void {
    subscriber.subscriptions += change;
    this.#subscriptions += change;
  }
}
