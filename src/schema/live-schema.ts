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

  /** Builds, checks and publishes. Returns false if the revision is not newer. Throws if the schema is not valid. */
  publish(snapshot: Snapshot): boolean {
    if (snapshot.revision <= this.#current.snapshot.revision) return false;
    const before = this.#current;
    const next = this.build(snapshot);
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
