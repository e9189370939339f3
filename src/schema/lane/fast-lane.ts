/**
 * The fast lane answers operations on generated feature fields without executing GraphQL. Apollo answers all others.
 *
 * Invariants
 * 1. It gives the answer of Apollo, byte for byte, or none. The only requests that it refuses are those whose answer is
 *    too large, or finds no memory; Apollo refuses them alike.
 * 2. A plan belongs to one published schema and is forgotten with it.
 * 3. The number of plans is bounded. Registered operations are compiled before their schema is published. Any other
 *    operation is compiled when it arrives for the second time, so that a text that arrives once costs nothing.
 */
import { GraphQLError } from 'graphql';
import type { FStoreError } from '../../errors.js';
import type { OnlineQuery } from '../../retrieval/online-query.js';
import { AnswerTooLarge, JsonWriter } from '../../store/json-writer.js';
import type { LiveSchema, PublishedSchema } from '../live-schema.js';
import type { OperationCheck } from '../operation-check.js';
import { namedOperation } from '../registered-operations.js';
import { type AnswerMemory, PORTION, refusalOfAnswer, responseTooLarge } from '../response-budget.js';
import { type BodyFrame, BodyFrames, type OperationBody } from './body-frame.js';
import { compileReadPlan, isSuspect, type PlannedRead, type ReadPlan } from './read-plan.js';
import { NotPlanned, type Row } from './selection-plan.js';
import { scanVariables } from './variable-scanner.js';

/** The dependencies and limits of the fast lane. */
export interface FastLaneOptions {
  readonly live: LiveSchema;
  readonly query: Pick<OnlineQuery, 'readPacked'>;
  readonly maxKeys: number;
  readonly answers: AnswerMemory;
  readonly now: () => number;
  readonly check: OperationCheck;
  /** True to answer registered operations only. */
  readonly onlyRegistered: boolean;
}

const MAX_PLANS = 1_000;
const MAX_QUERY_LENGTH = 16_384;
const TEXT_FIELDS: ReadonlySet<string> = new Set(['query', 'operationName', 'variables']);
const NAMING_FIELDS: ReadonlySet<string> = new Set([...TEXT_FIELDS, 'documentId', 'id', 'extensions']);
type Variables = Readonly<Record<string, unknown>>;
const NONE: Variables = {};

/**
 * Takes the bytes of an answer with their HTTP status, or null for a request that Apollo must answer. Calls `free`, if
 * it is not null, when the connection no longer needs the bytes. Returns true if the bytes are sent already, so that
 * their memory may be reused.
 */
export type Answer = (bytes: Buffer | null, status: number, free: (() => void) | null) => boolean;

/**
 * The plan of an operation; null if it cannot be compiled, undefined until the operation arrives for the second time.
 */
interface Known {
  plan: ReadPlan | null | undefined;
  used: boolean;
}

/** Counters of the fast lane. */
export interface FastLaneCounts {
  answered: number;
  /** Requests that were passed on to Apollo. */
  passed: number;
  plans: number;
}

/** Answers plain reads from packed values. */
export class FastLane {
  readonly counts: FastLaneCounts = { answered: 0, passed: 0, plans: 0 };
  readonly #options: FastLaneOptions;
  readonly #writer: JsonWriter;
  readonly #tooLarge: FStoreError;
  readonly #frames = new BodyFrames<ReadPlan>();
  #published: PublishedSchema | null = null;
  #known = new Map<string, Known>();

  constructor(options: FastLaneOptions) {
    this.#options = options;
    const { limit } = options.answers;
    this.#writer = new JsonWriter(limit);
    this.#tooLarge = responseTooLarge(limit);
  }

  /** Answers the operation of a request's body. Calls `answer` exactly once, now or later. */
  answer(bytes: Buffer, answer: Answer): void {
    const { query, maxKeys, now } = this.#options;
    const read = this.#prepare(bytes, maxKeys);
    if (!read) this.#pass(answer);
    else if (read.references.length === 0) this.#write(read, [], answer);
    else {
      query.readPacked(read.references, now()).then(
        (rows) => this.#write(read, rows, answer),
        (error: unknown) => this.#fail(error, answer),
      );
    }
  }

  #write(read: PlannedRead, rows: readonly Row[], answer: Answer): void {
    const writer = this.#writer;
    let written: Buffer;
    let free: (() => void) | null = null;
    try {
      read.write(writer, rows);
      written = writer.written();
      if (written.length > PORTION) free = this.#options.answers.hold(written.length);
    } catch (error) {
      writer.reuse();
      this.#fail(error, answer);
      return;
    }
    this.counts.answered += 1;
    if (answer(written, 200, free)) writer.reuse();
  }

  #fail(error: unknown, answer: Answer): void {
    const refusal = refusalOfAnswer(error instanceof AnswerTooLarge ? this.#tooLarge : error);
    if (refusal) {
      const { message, extensions, entry } = refusal;
      this.counts.answered += 1;
      answer(Buffer.from(`${JSON.stringify({ errors: [{ message, extensions }] })}\n`), entry.status, null);
      return;
    }
    // Stored bytes are damaged, or GraphQL refuses a value. The resolvers read again, count and report it.
    this.#pass(answer);
  }

  #pass(answer: Answer): void {
    this.counts.passed += 1;
    answer(null, 0, null);
  }

  /** Returns what the body's operation reads; null if Apollo must answer it. */
  #prepare(bytes: Buffer, maxKeys: number): PlannedRead | null {
    const published = this.#follow();
    try {
      const frame = this.#frames.find(bytes);
      const framed = frame && readFramed(frame, bytes);
      if (framed) return frame.operation.prepare(framed, maxKeys);
      const body: unknown = JSON.parse(bytes.toString('utf8'));
      if (!isBody(body)) return null;
      const plan = this.#planFor(published, body);
      if (!plan) return null;
      // A body that contains more than the frame it matched would otherwise be learned at each request.
      if (!frame) this.#frames.learn(bytes, body, plan);
      return plan.prepare(variablesOf(body.variables), maxKeys);
    } catch {
      return null;
    }
  }

  #planFor(published: PublishedSchema, body: OperationBody): ReadPlan | null {
    const { query, operationName = null } = body;
    if ((operationName !== null && typeof operationName !== 'string') || operationName === '') return null;
    const name = namedOperation(body);
    const fields = name === null ? TEXT_FIELDS : NAMING_FIELDS;
    for (const field in body) if (!fields.has(field)) return null;
    if (isSuspect(body.extensions)) return null;
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

  /** Returns the current schema. If it has changed, drops the plans of the previous one. */
  #follow(): PublishedSchema {
    const published = this.#options.live.current;
    if (published !== this.#published) {
      this.#published = published;
      this.#known = new Map();
      this.#frames.forget();
      this.counts.plans += published.operations.plans;
    }
    return published;
  }

  /** Makes space for another operation by dropping the oldest one that was not used since it was last examined. */
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

/** Returns the variables within a frame; null if there is anything else between its start and end. */
function readFramed({ start, end, operation }: BodyFrame<ReadPlan>, bytes: Buffer): Variables | null {
  const to = bytes.length - end.length;
  const plain = scanVariables(bytes.toString('latin1', start.length, to), operation.variableNames);
  if (plain) return plain;
  try {
    return variablesOf(JSON.parse(bytes.toString('utf8', start.length, to)));
  } catch {
    return null;
  }
}

function isBody(value: unknown): value is OperationBody {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns the variables of a body. Throws NotPlanned if they are not an object. */
function variablesOf(value: unknown): Variables {
  if (value === undefined || value === null) return NONE;
  if (typeof value !== 'object' || Array.isArray(value)) throw new NotPlanned('variables that are not an object');
  return value as Variables;
}
