/**
 * The schema that this process serves, and its replacement while requests run.
 *
 * Job: builds and checks a schema from a snapshot, with the operations that are registered for it. Publishes it to all
 * transports at once: to Apollo (HTTP) through its gateway seam, to the fast lane, and to WebSocket and SSE through
 * `current`.
 *
 * Invariants
 * 1. Only a schema that graphql-js and Apollo both accepted is published. If one fails, the previous schema stays in
 *    use.
 * 2. HTTP, WebSocket and SSE see the new schema in the same turn of the event loop.
 * 3. An operation ends on the schema that it began on. If a field of a subscription is removed or changed, the
 *    subscription ends with SUBSCRIPTION_SCHEMA_RELOAD.
 * 4. Revisions only grow.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type {
  GatewayExecutionResult,
  GatewayGraphQLRequestContext,
  GatewayInterface,
} from '@apollo/server-gateway-interface';
import { assertValidSchema, type GraphQLSchema } from 'graphql';
import type { Snapshot } from '../registry/snapshot.js';
import { type BuiltSchema, buildFeatureSchema } from './feature/feature-schema.js';
import type { OperationCheck } from './operation-check.js';
import { type RegisteredOperations, registerOperations } from './registered-operations.js';
import type { RequestContext } from './request-context.js';

/** A schema with the snapshot that it was built from. */
export interface PublishedSchema extends BuiltSchema {
  readonly snapshot: Snapshot;
  readonly operations: RegisteredOperations;
}

type SchemaListener = (published: PublishedSchema) => void;

/** Runs an operation for Apollo as it is run on every other transport. */
async function executeInBudget({
  schema,
  document,
  context,
  request,
}: GatewayGraphQLRequestContext): Promise<GatewayExecutionResult> {
  const contextValue = context as RequestContext;
  const { variables, operationName } = request;
  const result = await contextValue.response.run({
    ...{ schema, document, contextValue },
    variableValues: variables ?? null,
    operationName: operationName ?? null,
  });
  return result as GatewayExecutionResult;
}

/** Work goes on for so long before requests are let in, milliseconds. */
const STRETCH = 3;

type Building = Generator<void, PublishedSchema, void>;

function finish(building: Building): PublishedSchema {
  while (true) {
    const step = building.next();
    if (step.done) return step.value;
  }
}

async function finishInTurns(building: Building): Promise<PublishedSchema> {
  await turn();
  let since = performance.now();
  while (true) {
    const step = building.next();
    if (step.done) return step.value;
    if (performance.now() - since < STRETCH) continue;
    await turn();
    since = performance.now();
  }
}

/** Holds the current schema, builds new ones and publishes them. */
export class LiveSchema {
  readonly #control: GraphQLSchema;
  readonly #check: OperationCheck;
  readonly #listeners = new Set<SchemaListener>();
  #current: PublishedSchema;
  #publishing: Promise<void> = Promise.resolve();

  /**
   * Builds and checks the first schema. `control` is the static part of it, `check` validates registered operations.
   */
  constructor(control: GraphQLSchema, snapshot: Snapshot, check: OperationCheck) {
    this.#control = control;
    this.#check = check;
    this.#current = finish(this.#build(snapshot, false));
  }

  /** The schema that is served. */
  get current(): PublishedSchema {
    return this.#current;
  }

  /** Builds and checks the schema of a snapshot without publishing it. Rejects with the reason if it is invalid. */
  build(snapshot: Snapshot): Promise<PublishedSchema> {
    return finishInTurns(this.#build(snapshot, false));
  }

  /**
   * Builds the schema of a snapshot that an apply proposes. New operations of consumers beyond the limits of one apply
   * have a fault; after a few faults the other operations are left out.
   */
  propose(snapshot: Snapshot): Promise<PublishedSchema> {
    return finishInTurns(this.#build(snapshot, true));
  }

  *#build(snapshot: Snapshot, isProposed: boolean): Building {
    const built = buildFeatureSchema(snapshot, this.#control, this.#current);
    yield;
    assertValidSchema(built.schema);
    yield;
    const before = this.#current?.operations ?? null;
    const operations = yield* registerOperations(snapshot, built.schema, { check: this.#check, before, isProposed });
    return { ...built, snapshot, operations };
  }

  /**
   * Builds, checks and publishes the schema of a snapshot. Lets requests run between these steps, because each of them
   * takes milliseconds for a thousand views. Concurrent calls run one after the other. Resolves to false if the
   * revision is not newer; rejects if the schema is invalid.
   */
  publish(snapshot: Snapshot): Promise<boolean> {
    const published = this.#publishing.then(() => this.#publishNow(snapshot));
    this.#publishing = published.then(
      () => {},
      () => {},
    );
    return published;
  }

  async #publishNow(snapshot: Snapshot): Promise<boolean> {
    const before = this.#current;
    if (snapshot.revision <= before.snapshot.revision) return false;
    const next = await this.build(snapshot);
    await turn();
    this.#current = next;
    try {
      for (const listener of this.#listeners) listener(next);
    } catch (error) {
      this.#current = before;
      throw error;
    }
    return true;
  }

  /** Calls `listener` at each publication. Returns a function that removes it. */
  onPublish(listener: SchemaListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The interface through which Apollo Server gets each schema, and runs operations. */
  gateway(): GatewayInterface {
    let first: (() => void) | null = null;
    return {
      onSchemaLoadOrUpdate: (callback) => {
        const give: SchemaListener = ({ schema }) => callback({ apiSchema: schema, coreSupergraphSdl: '' });
        const forget = this.onPublish(give);
        first = () => give(this.#current);
        return forget;
      },
      load: async () => {
        first?.();
        return { executor: executeInBudget };
      },
      stop: async () => {},
    };
  }
}
