/**
 * The operations that consumers have registered, checked and compiled for one schema.
 *
 * Invariants
 * 1. The operations belong to one published schema. An operation without a fault runs on that schema without another
 *    check.
 * 2. An operation that does not fit the schema stays known, with the reason, until it fits again or is no longer
 *    registered.
 */
import { type DocumentNode, GraphQLError, type GraphQLSchema, Kind, type OperationTypeNode } from 'graphql';
import { operationId } from '../definition/operation-id.js';
import type { ConsumerRecord, Snapshot } from '../registry/snapshot.js';
import { compileReadPlan, type ReadPlan } from './lane/read-plan.js';
import { NotPlanned } from './lane/selection-plan.js';
import type { OperationCheck } from './operation-check.js';

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

/** Parsed operations of each consumer record. Texts never change, so they are parsed once for all schemas. */
const readings = new WeakMap<ConsumerRecord, readonly (ReadOperation | GraphQLError)[]>();

function readingsOf(record: ConsumerRecord, check: OperationCheck): readonly (ReadOperation | GraphQLError)[] {
  let known = readings.get(record);
  if (!known) {
    known = record.meaning.operations.map((text) => {
      try {
        return readOperation(text, check);
      } catch (error) {
        if (error instanceof GraphQLError) return error;
        throw error;
      }
    });
    readings.set(record, known);
  }
  return known;
}

function compile(schema: GraphQLSchema, { document }: ReadOperation): ReadPlan | null {
  try {
    return compileReadPlan(schema, document, null);
  } catch (error) {
    if (error instanceof NotPlanned || error instanceof GraphQLError) return null;
    throw error;
  }
}

/**
 * Checks and compiles all operations of a snapshot for its schema. Yields after each one, because there may be many.
 */
export function* registerOperations(
  { consumers }: Snapshot,
  schema: GraphQLSchema,
  check: OperationCheck,
): Generator<void, RegisteredOperations, void> {
  const found = new Map<string, RegisteredOperation>();
  let plans = 0;
  for (const record of consumers.values()) {
    const read = readingsOf(record, check);
    for (const [index, text] of record.meaning.operations.entries()) {
      const known = found.get(text);
      if (known) {
        found.set(text, { ...known, consumers: [...known.consumers, record] });
        continue;
      }
      const one = read[index]!;
      const unread = one instanceof GraphQLError;
      const fault = unread ? one.message : (check.findings(schema, one.document, 1)[0]?.message ?? null);
      const plan = unread || fault !== null || plans >= MAX_PLANS ? null : compile(schema, one);
      if (plan) plans += 1;
      found.set(text, { id: operationId(text), text, read: unread ? null : one, consumers: [record], fault, plan });
      yield;
    }
  }
  return new RegisteredOperations([...found.values()]);
}

/**
 * Names an operation, its consumers and their owners for messages: `operation FraudVector of consumer fraud_model
 * (owner risk-team)`.
 */
export function describeOperation({ id, read, consumers }: RegisteredOperation): string {
  const owners = consumers.map(({ name, definition: { owner } }) => (owner ? `${name} (owner ${owner})` : name));
  return `operation ${read?.name ?? id.slice(0, 12)} of consumer ${owners.join(', ')}`;
}
