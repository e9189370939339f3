/**
 * The operations that consumers have registered, checked and compiled for one schema.
 *
 * Invariants
 * 1. The operations belong to one published schema. An operation without a fault runs on that schema without another
 *    check.
 * 2. An operation that does not fit the schema stays known, with the reason, until it fits again or is no longer
 *    registered.
 * 3. The work for one apply is bounded: by the number and the tokens of its new operations, and by those that do not
 *    fit.
 */
import { type DocumentNode, GraphQLError, type GraphQLSchema, Kind, type OperationTypeNode } from 'graphql';
import { operationId } from '../definition/operation-id.js';
import type { ConsumerRecord, Snapshot } from '../registry/snapshot.js';
import { compileReadPlan, type ReadPlan } from './lane/read-plan.js';
import { NotPlanned } from './lane/selection-plan.js';
import type { OperationCheck } from './operation-check.js';
import { weightOf } from './operation-limits.js';

/** A parsed document with exactly one operation. */
interface ReadOperation {
  readonly document: DocumentNode;
  readonly name: string | null;
  readonly type: OperationTypeNode;
}

/** A registered operation and what was found about it. */
export interface RegisteredOperation {
  /** SHA-256 of the text, in hexadecimal. */
  readonly id: string;
  readonly text: string;
  /** The parsed text; null if it cannot be parsed within the limits of this process. */
  readonly read: ReadOperation | null;
  readonly consumers: readonly ConsumerRecord[];
  /** Why the operation does not fit the schema; null if it fits. */
  readonly fault: string | null;
  /** The fast lane's plan for the operation; null if the fast lane cannot answer it. */
  readonly plan: ReadPlan | null;
}

/** The forms in which a request may name an operation instead of sending its text. */
export interface OperationNaming {
  readonly query?: unknown;
  /** GraphQL over HTTP, appendix A: `sha256:` and the hash. The hash alone is accepted too. */
  readonly documentId?: unknown;
  readonly id?: unknown;
  /** Apollo's form: `persistedQuery: { version: 1, sha256Hash }`. */
  readonly extensions?: unknown;
}

/** At most this many operations are compiled ahead of requests. Apollo answers the others. */
const MAX_PLANS = 2_000;
/** New operations of one apply, and their tokens together: parsing and validating 200,000 takes about 1 s. */
const MAX_NEW = 2_000;
const MAX_NEW_TOKENS = 200_000;
/** New operations that do not fit, after which an apply is refused without checking the others. */
const MAX_FAULTS = 10;
const PREFIX = 'sha256:';

/** The registered operations of one published schema, by id and by text. */
export class RegisteredOperations {
  readonly #byId: ReadonlyMap<string, RegisteredOperation>;
  readonly #byText: ReadonlyMap<string, RegisteredOperation>;
  /** How many of the operations have a plan for the fast lane. */
  readonly plans: number;

  constructor(operations: readonly RegisteredOperation[]) {
    this.#byId = new Map(operations.map((one) => [one.id, one]));
    this.#byText = new Map(operations.map((one) => [one.text, one]));
    this.plans = operations.filter(({ plan }) => plan !== null).length;
  }

  [Symbol.iterator](): Iterator<RegisteredOperation> {
    return this.#byId.values();
  }

  /** Returns the operation with this id (SHA-256 of its text, in hexadecimal). */
  withId(id: string): RegisteredOperation | undefined {
    return this.#byId.get(id);
  }

  /** Returns the operation with this text, which must have no white space around it. */
  withText(text: string): RegisteredOperation | undefined {
    return this.#byText.get(text);
  }
}

/** Returns the hash by which a request names its operation, or null if it names none or sends a text. */
export function namedOperation({ query, documentId, id, extensions }: OperationNaming): string | null {
  // Protocols that require a text send an empty one.
  if (query !== undefined && query !== null && query !== '') return null;
  const persisted = (extensions as { readonly persistedQuery?: { version?: unknown; sha256Hash?: unknown } } | null)
    ?.persistedQuery;
  const name = documentId ?? id ?? (persisted?.version === 1 ? persisted.sha256Hash : null);
  if (typeof name !== 'string') return null;
  return name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;
}

/** Parses the text of an operation. Throws GraphQLError. */
function readOperation(text: string, check: OperationCheck): ReadOperation {
  const document = check.parse(text);
  const operations = document.definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION);
  const [operation] = operations;
  if (!operation || operations.length > 1) {
    throw new GraphQLError(`a registered document has one operation; this one has ${operations.length}`);
  }
  return { document, name: operation.name?.value ?? null, type: operation.operation };
}

/** The operations that one apply registers: how many, and how much work they are. */
class NewOperations {
  #count = 0;
  #weight = 0;
  #faults = 0;

  /** True if enough operations of this apply are refused, so that the others need no check. */
  get isRefused(): boolean {
    return this.#faults >= MAX_FAULTS;
  }

  /** Returns why there are too many operations with one more; null if there are not. */
  add(): string | null {
    this.#count += 1;
    return this.#count > MAX_NEW ? this.#refuse(`one apply registers at most ${MAX_NEW} new operations`) : null;
  }

  /** Returns why the operations are too much work with this one; null if they are not. */
  weigh({ document }: ReadOperation): string | null {
    this.#weight += weightOf(document);
    if (this.#weight <= MAX_NEW_TOKENS) return null;
    return this.#refuse(`the new operations of one apply have at most ${MAX_NEW_TOKENS} tokens together`);
  }

  /** Counts an operation that does not fit. */
  countFault(): void {
    this.#faults += 1;
  }

  #refuse(limit: string): string {
    this.#faults = MAX_FAULTS;
    return `${limit}: register the others with another apply`;
  }
}

function readOrFault(text: string, check: OperationCheck): ReadOperation | string {
  try {
    return readOperation(text, check);
  } catch (error) {
    if (error instanceof GraphQLError) return error.message;
    throw error;
  }
}

function compile(schema: GraphQLSchema, { document }: ReadOperation): ReadPlan | null {
  try {
    return compileReadPlan(schema, document, null);
  } catch (error) {
    if (error instanceof NotPlanned || error instanceof GraphQLError) return null;
    throw error;
  }
}

/** How the operations of a snapshot are registered. */
export interface Registration {
  readonly check: OperationCheck;
  /** The operations of the schema that is served now. Their texts are not parsed again. */
  readonly before: RegisteredOperations | null;
  /** True for a snapshot that an apply proposes: new operations are limited, and a few that do not fit end the check. */
  readonly isProposed: boolean;
}

/**
 * Checks and compiles the operations of a snapshot for its schema. Yields before each step of an operation, because
 * there may be many. Returns the operations; for a proposed snapshot that will be refused, only those checked so far.
 */
export function* registerOperations(
  { consumers }: Snapshot,
  schema: GraphQLSchema,
  { check, before, isProposed }: Registration,
): Generator<void, RegisteredOperations, void> {
  const found = new Map<string, RegisteredOperation>();
  const added = new NewOperations();
  let plans = 0;
  for (const [record, text] of inOrder(consumers.values(), isProposed ? before : null)) {
    const same = found.get(text);
    if (same) {
      found.set(text, { ...same, consumers: [...same.consumers, record] });
      continue;
    }
    if (added.isRefused) break;
    yield;
    const known = before?.withText(text);
    const isNew = isProposed && !known;
    let fault = isNew ? added.add() : null;
    let read: ReadOperation | null = null;
    if (fault === null) {
      const one = known ? (known.read ?? known.fault!) : readOrFault(text, check);
      if (typeof one === 'string') fault = one;
      else read = one;
    }
    if (read && isNew) fault = added.weigh(read);
    yield;
    if (read) fault ??= check.findings(schema, read.document, 1)[0]?.message ?? null;
    if (isNew && fault !== null) added.countFault();
    const plan = !read || fault !== null || plans >= MAX_PLANS ? null : compile(schema, read);
    if (plan) plans += 1;
    found.set(text, { id: operationId(text), text, read, consumers: [record], fault, plan });
  }
  return new RegisteredOperations([...found.values()]);
}

/** Returns the operations of consumers. Those that are not in `before` come first, because they may end an apply. */
function inOrder(
  consumers: Iterable<ConsumerRecord>,
  before: RegisteredOperations | null,
): readonly (readonly [ConsumerRecord, string])[] {
  const all = [...consumers].flatMap((record) => record.meaning.operations.map((text) => [record, text] as const));
  const isKnown = ([, text]: readonly [ConsumerRecord, string]): boolean => before?.withText(text) !== undefined;
  return [...all.filter((one) => !isKnown(one)), ...all.filter(isKnown)];
}

/**
 * Names an operation, its consumers and their owners for messages: `operation FraudVector of consumer fraud_model
 * (owner risk-team)`.
 */
export function describeOperation({ id, read, consumers }: RegisteredOperation): string {
  const owners = consumers.map(({ name, definition: { owner } }) => (owner ? `${name} (owner ${owner})` : name));
  return `operation ${read?.name ?? id.slice(0, 12)} of consumer ${owners.join(', ')}`;
}
