/** A client for Confluent's schema registry, which returns Avro schemas by id. */
import { type AvroRecord, parseAvroSchema } from '../definition/avro-schema.js';
import { FStoreError } from '../errors.js';

/** An Avro schema, or why there is none. */
export type RegisteredSchema = AvroRecord | { readonly kind: 'none'; readonly reason: string };

const TIMEOUT = 5_000;
/** The registry's own error code for an unknown schema. A 404 without it comes from a URL that is not a registry. */
const SCHEMA_NOT_FOUND = 40_403;

/** Loads and caches schemas of one registry. */
export class SchemaRegistry {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #known = new Map<number, RegisteredSchema>();

  /** `url` is the URL of the registry. A user and password in it are sent as basic authentication. */
  constructor(url: string) {
    const { username, password, href } = new URL(url);
    const plain = new URL(href);
    plain.username = '';
    plain.password = '';
    this.#url = plain.href.replace(/\/$/, '');
    const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    this.#headers = {
      accept: 'application/vnd.schemaregistry.v1+json, application/json',
      ...(username ? { authorization: `Basic ${Buffer.from(user).toString('base64')}` } : {}),
    };
  }

  /**
   * Loads the schemas that are not cached. An id that the registry did not know is looked up again. Throws
   * SCHEMA_REGISTRY_UNAVAILABLE.
   */
  async load(ids: ReadonlySet<number>): Promise<void> {
    // One request at a time, so that invalid ids cannot flood the registry with requests.
    for (const id of ids) {
      if (this.#known.get(id)?.kind !== 'record') this.#known.set(id, await this.#fetch(id));
    }
  }

  /** Returns a schema that was loaded. */
  get(id: number): RegisteredSchema {
    return this.#known.get(id) ?? { kind: 'none', reason: `schema ${id} was not asked for` };
  }

  async #fetch(id: number): Promise<RegisteredSchema> {
    let status: number;
    let body: { error_code?: unknown; schema?: unknown; schemaType?: unknown; references?: unknown[] };
    try {
      const response = await fetch(`${this.#url}/schemas/ids/${id}`, {
        headers: this.#headers,
        signal: AbortSignal.timeout(TIMEOUT),
      });
      status = response.status;
      body = (await response.json()) as typeof body;
    } catch (error) {
      const message = `the schema registry does not answer: ${(error as Error).message}`;
      throw new FStoreError('SCHEMA_REGISTRY_UNAVAILABLE', message, {}, [], { cause: error });
    }
    const none = (reason: string): RegisteredSchema => ({ kind: 'none', reason });
    if (status === 404 && body.error_code === SCHEMA_NOT_FOUND) return none(`the schema registry has no schema ${id}`);
    if (status !== 200) {
      throw new FStoreError('SCHEMA_REGISTRY_UNAVAILABLE', `the schema registry answers ${status} for schema ${id}`);
    }
    if ((body.schemaType ?? 'AVRO') !== 'AVRO') return none(`schema ${id} is ${body.schemaType}, which is no Avro`);
    if ((body.references ?? []).length > 0) return none(`schema ${id} refers to other schemas, which is not supported`);
    try {
      return parseAvroSchema(JSON.parse(`${body.schema}`));
    } catch (error) {
      return none(`schema ${id} cannot be read: ${(error as Error).message}`);
    }
  }
}
