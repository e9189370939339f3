/**
 * The operations that consumers have registered, checked and compiled for one schema.
 *
 * Invariants
 * 1. They belong to one published schema: whoever finds one here runs it on that schema without another check.
 * 2. An operation that the schema does not fit stays known, with the reason, until it fits again or is registered no more.
 */
import { type DocumentNode, GraphQLError, type GraphQLSchema, Kind, type OperationTypeNode } from 'graphql';
import { operationId } from '../definition/operation-id.js';
import type { ConsumerRecord, Snapshot } from '../registry/snapshot.js';
import { compileReadPlan, type ReadPlan } from './lane/read-plan.js';
import { NotPlanned } from './lane/selection-plan.js';
import type { OperationCheck } from './operation-check.js';

/** A document with one operation. */
interface ReadOperation {
  readonly document: DocumentNode;
  readonly name: string | null;
  readonly type: OperationTypeNode;
}

export interface RegisteredOperation {
  /** SHA-256 of the text, in hexadecimal. */
  readonly id: string;
  readonly text: string;
  /** Null if the text can not be read under the limits of this process. */
  readonly read: ReadOperation | null;
  readonly consumers: readonly ConsumerRecord[];
  /** Why the schema does not fit, or null if it does. */
  readonly fault: string | null;
  /** How the fast lane answers it; null if that can not. */
  readonly plan: ReadPlan | null;
}

/** How a request may name an operation instead of sending it. */
export interface OperationNaming {
  readonly query?: unknown;
  /** GraphQL over HTTP, appendix A: `sha256:` and the hash; the hash alone does too. */
  readonly documentId?: unknown;
  readonly id?: unknown;
  /** Apollo's form: `persistedQuery: { version: 1, sha256Hash }`. */
  readonly extensions?: unknown;
}

/** More plans than this are not made ahead of requests; the operations beyond are answered by Apollo. */
const MAX_PLANS = 2_000;
const PREFIX = 'sha256:';

export class RegisteredOperations {
  readonly #byId: ReadonlyMap<string, RegisteredOperation>;
  readonly #byText: ReadonlyMap<string, RegisteredOperation>;
  /** How many of them the fast lane answers. */
  readonly plans: number;

  constructor(operations: readonly RegisteredOperation[]) {
    this.#byId = new Map(operations.map((one) => [one.id, one]));
    this.#byText = new Map(operations.map((one) => [one.text, one]));
    this.plans = operations.filter(({ plan }) => plan !== null).length;
  }

  [Symbol.iterator](): Iterator<RegisteredOperation> {
    return this.#byId.values();
  }

  withId(id: string): RegisteredOperation | undefined {
    return this.#byId.get(id);
  }

  /** `text` without white space around it. */
  withText(text: string): RegisteredOperation | undefined {
    return this.#byText.get(text);
  }
}

/** The hash by which a request names its operation; null if it names none, or sends a text. */
export function namedOperation({ query, documentId, id, extensions }: OperationNaming): string | null {
  // Protocols that insist on a text are given an empty one.
  if (query !== undefined && query !== null && query !== '') return null;
  const persisted = (extensions as { readonly persistedQuery?: { version?: unknown; sha256Hash?: unknown } } | null)
    ?.persistedQuery;
  const name = documentId ?? id ?? (persisted?.version === 1 ? persisted.sha256Hash : null);
  if (typeof name !== 'string') return null;
  return name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;
}

/** Reads the text of an operation. Throws GraphQLError. */
function readOperation(text: string, check: OperationCheck): ReadOperation {
  const document = check.parse(text);
  const operations = document.definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION);
  const [operation] = operations;
  if (!operation || operations.length > 1) {
    throw new GraphQLError(`a registered document has one operation; this one has ${operations.length}`);
  }
  return { document, name: operation.name?.value ?? null, type: operation.operation };
}

/** Texts as they were read: they do not change, schemas do. */
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

/** Checks and compiles all operations of a snapshot for its schema; yields between them, because there may be many. */
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
      const fault = unread ? one.message : (check.findings(schema, one.document)[0]?.message ?? null);
      const plan = unread || fault !== null || plans >= MAX_PLANS ? null : compile(schema, one);
      if (plan) plans += 1;
      found.set(text, { id: operationId(text), text, read: unread ? null : one, consumers: [record], fault, plan });
      yield;
    }
  }
  return new RegisteredOperations([...found.values()]);
}

/** `operation FraudVector of consumer fraud_model (owner risk-team)`: what it is and whom to ask, for messages. */
export function describeOperation({ id, read, consumers }: RegisteredOperation): string {
  const owners = consumers.map(({ name, definition: { owner } }) => (owner ? `${name} (owner ${owner})` : name));
  return `operation ${read?.name ?? id.slice(0, 12)} of consumer ${owners.join(', ')}`;
}
