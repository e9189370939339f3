/**
 * The schema that this process serves, and its exchange while requests run.
 *
 * Job: build from a snapshot, check, with the operations that are registered for it; publish once to everybody: Apollo (HTTP) through its
 * gateway seam, the fast lane, WebSocket and SSE through `current`.
 *
 * Invariants
 * 1. Published is only what graphql-js and Apollo both accepted; a schema that fails leaves the one before in place.
 * 2. HTTP, WebSocket and SSE see the new schema in the same turn of the event loop.
 * 3. An operation that began on a schema ends on it; a subscription that uses a field which is gone or serves something
 *    else is ended with SUBSCRIPTION_SCHEMA_RELOAD.
 * 4. Revisions only grow.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { GatewayInterface } from '@apollo/server-gateway-interface';
import { assertValidSchema, type GraphQLSchema } from 'graphql';
import type { Snapshot } from '../registry/snapshot.js';
import { type BuiltSchema, buildFeatureSchema } from './feature/feature-schema.js';
import type { OperationCheck } from './operation-check.js';
import { type RegisteredOperations, registerOperations } from './registered-operations.js';

/** A schema with the snapshot that it was built from. */
export interface PublishedSchema extends BuiltSchema {
  readonly snapshot: Snapshot;
  readonly operations: RegisteredOperations;
}

type SchemaListener = (published: PublishedSchema) => void;

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

export class LiveSchema {
  readonly #control: GraphQLSchema;
  readonly #check: OperationCheck;
  readonly #listeners = new Set<SchemaListener>();
  #current: PublishedSchema;
  #publishing: Promise<void> = Promise.resolve();

  /** Builds and checks the first schema. `control` is the static part, `check` that of registered operations. */
  constructor(control: GraphQLSchema, snapshot: Snapshot, check: OperationCheck) {
    this.#control = control;
    this.#check = check;
    this.#current = finish(this.#build(snapshot));
  }

  get current(): PublishedSchema {
    return this.#current;
  }

  /** Builds and checks the schema of a snapshot without publishing it. Rejects with what makes it invalid. */
  build(snapshot: Snapshot): Promise<PublishedSchema> {
    return finishInTurns(this.#build(snapshot));
  }

  *#build(snapshot: Snapshot): Building {
    const built = buildFeatureSchema(snapshot, this.#control, this.#current);
    yield;
    assertValidSchema(built.schema);
    yield;
    const operations = yield* registerOperations(snapshot, built.schema, this.#check);
    return { ...built, snapshot, operations };
  }

  /**
   * Builds, checks and publishes, giving way to requests between these steps, because each of them takes milliseconds
   * for a thousand views. Calls are served one after the other. Returns false if the revision is not newer; rejects if
   * the schema is not valid.
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

  /** Calls `listener` at each publication. Returns a function that ends that. */
  onPublish(listener: SchemaListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The seam through which Apollo Server gets each schema; `executor: null` leaves execution to graphql-js. */
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
        return { executor: null };
      },
      stop: async () => {},
    };
  }
}
