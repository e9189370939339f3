/**
 * The schema that this process serves, and its exchange while requests run.
 *
 * Job: build from a snapshot, check, publish once to everybody: Apollo (HTTP) through its gateway seam, WebSocket and SSE
 * through `current`.
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

/** A schema with the snapshot that it was built from. */
export interface PublishedSchema extends BuiltSchema {
  readonly snapshot: Snapshot;
}

type SchemaListener = (published: PublishedSchema) => void;

export class LiveSchema {
  readonly #control: GraphQLSchema;
  readonly #listeners = new Set<SchemaListener>();
  #current: PublishedSchema;
  #publishing: Promise<void> = Promise.resolve();

  /** Builds and checks the first schema. `control` is the static part. */
  constructor(control: GraphQLSchema, snapshot: Snapshot) {
    this.#control = control;
    this.#current = this.build(snapshot);
  }

  get current(): PublishedSchema {
    return this.#current;
  }

  /** Builds and checks the schema of a snapshot without publishing it. Throws what makes it invalid. */
  build(snapshot: Snapshot): PublishedSchema {
    const built = buildFeatureSchema(snapshot, this.#control, this.#current);
    assertValidSchema(built.schema);
    return { ...built, snapshot };
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
    await turn();
    const built = buildFeatureSchema(snapshot, this.#control, before);
    await turn();
    assertValidSchema(built.schema);
    await turn();
    const next = { ...built, snapshot };
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
