/**
 * Answers operations of generated feature fields without GraphQL's machinery; what it does not answer is left to Apollo.
 *
 * Invariants
 * 1. It answers what Apollo would answer, byte for byte, or not at all: it never refuses and never reports an error.
 * 2. A plan belongs to one published schema and is forgotten with it.
 * 3. Plans are bounded in number; one is made when the same operation comes for the second time, so that texts that come once cost nothing.
 */
import { type DocumentNode, GraphQLError } from 'graphql';
import type { OnlineQuery } from '../../retrieval/online-query.js';
import { JsonWriter } from '../../store/json-writer.js';
import type { LiveSchema, PublishedSchema } from '../live-schema.js';
import { compileReadPlan, type PlannedRead, type ReadPlan } from './read-plan.js';
import { NotPlanned } from './selection-plan.js';

export interface FastLaneOptions {
  readonly live: LiveSchema;
  readonly query: Pick<OnlineQuery, 'readPacked'>;
  readonly maxKeys: number;
  readonly now: () => number;
  /** Parses and validates as every door does; null for a document with findings. */
  readonly validate: (query: string, published: PublishedSchema) => DocumentNode | null;
}

/** A request's body, parsed. */
export interface OperationBody {
  readonly query?: unknown;
  readonly operationName?: unknown;
  readonly variables?: unknown;
  readonly [other: string]: unknown;
}

const MAX_PLANS = 1_000;
const MAX_QUERY_LENGTH = 16_384;
const KNOWN_FIELDS: ReadonlySet<string> = new Set(['query', 'operationName', 'variables']);
const NONE: Readonly<Record<string, unknown>> = {};

/** A plan, null where there can be none, or undefined until the operation comes for the second time. */
interface Known {
  plan: ReadPlan | null | undefined;
  used: boolean;
}

export interface FastLaneCounts {
  answered: number;
  /** Requests that were left to Apollo although they came to this door. */
  passed: number;
  plans: number;
}

export class FastLane {
  readonly counts: FastLaneCounts = { answered: 0, passed: 0, plans: 0 };
  readonly #options: FastLaneOptions;
  readonly #writer = new JsonWriter();
  #published: PublishedSchema | null = null;
  #known = new Map<string, Known>();

  constructor(options: FastLaneOptions) {
    this.#options = options;
  }

  /**
   * Answers an operation by calling `send` with the bytes of the answer. Returns false, or resolves to false, if it does not answer; then
   * nothing was sent.
   */
  answer(body: OperationBody, send: (bytes: Buffer) => void): boolean | Promise<boolean> {
    const { query, maxKeys, now } = this.#options;
    const plan = this.#planFor(body);
    if (!plan) return this.#pass();
    let read: PlannedRead;
    try {
      read = plan.prepare((body.variables ?? NONE) as Readonly<Record<string, unknown>>, maxKeys);
    } catch {
      return this.#pass();
    }
    if (read.references.length === 0) return this.#send(read, [], send);
    return query.readPacked(read.references, now()).then((rows) => this.#send(read, rows, send));
  }

  #send(read: PlannedRead, rows: Parameters<PlannedRead['write']>[1], send: (bytes: Buffer) => void): boolean {
    try {
      read.write(this.#writer, rows);
    } catch {
      // Bytes that are damaged, or a value that GraphQL refuses: resolvers read again, count it and say so.
      return this.#pass();
    }
    this.counts.answered += 1;
    send(this.#writer.written());
    return true;
  }

  #pass(): false {
    this.counts.passed += 1;
    return false;
  }

  #planFor(body: OperationBody): ReadPlan | null {
    const { query, operationName = null, variables } = body;
    if (typeof query !== 'string' || (operationName !== null && typeof operationName !== 'string')) return null;
    if (query.length > MAX_QUERY_LENGTH || operationName === '') return null;
    if (variables !== undefined && (typeof variables !== 'object' || Array.isArray(variables))) return null;
    for (const field in body) if (!KNOWN_FIELDS.has(field)) return null;
    const published = this.#options.live.current;
    if (published !== this.#published) {
      this.#published = published;
      this.#known = new Map();
    }
    const id = operationName === null ? query : `${operationName} ${query}`;
    const known = this.#known.get(id);
    if (!known) {
      this.#remember(id);
      return null;
    }
    known.used = true;
    if (known.plan === undefined) known.plan = this.#compile(published, query, operationName);
    return known.plan;
  }

  /** Makes room by forgetting the oldest that was not used since it was last looked at. */
  #remember(id: string): void {
    for (const [oldest, known] of this.#known) {
      if (this.#known.size < MAX_PLANS) break;
      this.#known.delete(oldest);
      if (!known.used) break;
      known.used = false;
      this.#known.set(oldest, known);
    }
    this.#known.set(id, { plan: undefined, used: false });
  }

  #compile(published: PublishedSchema, query: string, operationName: string | null): ReadPlan | null {
    try {
      const document = this.#options.validate(query, published);
      if (!document) return null;
      const plan = compileReadPlan(published.schema, document, operationName);
      this.counts.plans += 1;
      return plan;
    } catch (error) {
      if (error instanceof NotPlanned || error instanceof GraphQLError) return null;
      throw error;
    }
  }
}
