/**
 * Answers operations of generated feature fields without GraphQL's machinery; what it does not answer is left to Apollo.
 *
 * Invariants
 * 1. It answers what Apollo would answer, byte for byte, or not at all: it never refuses and never reports an error.
 * 2. A plan belongs to one published schema and is forgotten with it.
 * 3. Plans are bounded in number. Registered operations have theirs when the schema is published; for any other one is made when it comes
 *    for the second time, so that texts that come once cost nothing.
 */
import { GraphQLError } from 'graphql';
import type { OnlineQuery } from '../../retrieval/online-query.js';
import { JsonWriter } from '../../store/json-writer.js';
import type { LiveSchema, PublishedSchema } from '../live-schema.js';
import type { OperationCheck } from '../operation-check.js';
import { namedOperation, type OperationNaming } from '../registered-operations.js';
import { compileReadPlan, type PlannedRead, type ReadPlan } from './read-plan.js';
import { NotPlanned } from './selection-plan.js';

export interface FastLaneOptions {
  readonly live: LiveSchema;
  readonly query: Pick<OnlineQuery, 'readPacked'>;
  readonly maxKeys: number;
  readonly now: () => number;
  readonly check: OperationCheck;
  /** Whether it answers registered operations only. */
  readonly onlyRegistered: boolean;
}

/** A request's body, parsed. */
export interface OperationBody extends OperationNaming {
  readonly operationName?: unknown;
  readonly variables?: unknown;
  readonly [other: string]: unknown;
}

const MAX_PLANS = 1_000;
const MAX_QUERY_LENGTH = 16_384;
const TEXT_FIELDS: ReadonlySet<string> = new Set(['query', 'operationName', 'variables']);
const NAMING_FIELDS: ReadonlySet<string> = new Set([...TEXT_FIELDS, 'documentId', 'id', 'extensions']);
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
    if ((operationName !== null && typeof operationName !== 'string') || operationName === '') return null;
    if (variables !== undefined && (typeof variables !== 'object' || Array.isArray(variables))) return null;
    const published = this.#follow();
    const name = namedOperation(body);
    const fields = name === null ? TEXT_FIELDS : NAMING_FIELDS;
    for (const field in body) if (!fields.has(field)) return null;
    const { operations } = published;
    const registered = name === null ? operations.withText(query as string) : operations.withId(name);
    if (registered) {
      const isMeant = operationName === null || operationName === registered.read?.name;
      return isMeant ? registered.plan : null;
    }
    if (this.#options.onlyRegistered || typeof query !== 'string' || query.length > MAX_QUERY_LENGTH) return null;
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

  /** The schema of now; with another one, plans of before are forgotten. */
  #follow(): PublishedSchema {
    const published = this.#options.live.current;
    if (published !== this.#published) {
      this.#published = published;
      this.#known = new Map();
      this.counts.plans += published.operations.plans;
    }
    return published;
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
      const { check } = this.#options;
      const document = check.parse(query);
      if (check.findings(published.schema, document).length > 0) return null;
      const plan = compileReadPlan(published.schema, document, operationName);
      this.counts.plans += 1;
      return plan;
    } catch (error) {
      if (error instanceof NotPlanned || error instanceof GraphQLError) return null;
      throw error;
    }
  }
}
