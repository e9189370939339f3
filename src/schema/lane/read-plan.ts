/**
 * An operation compiled for one schema: which entities its arguments name, what it reads for them, and how the answer
 * is written.
 *
 * A plan answers an operation completely or not at all. It leaves unusual requests (arguments that need unusual
 * coercion, refusals, values that GraphQL cannot represent) to the resolvers, which report them in GraphQL's words.
 *
 * Invariants
 * 1. Entities are named by arguments as graphql-js coerces them: a value that is not obviously in its final form is
 *    coerced by graphql-js itself.
 * 2. All entities and views of an operation are read by one call.
 */
import {
  type ArgumentNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
  getArgumentValues,
  getNamedType,
  getVariableValues,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  type TypeNode,
  valueFromAST,
  visit,
} from 'graphql';
import { collectFields } from 'graphql/execution/collectFields.js';
import type { EntityKey } from '../../definition/entity-key.js';
import { FStoreError } from '../../errors.js';
import type { FeatureReference } from '../../retrieval/online-query.js';
import { FixedBytes, type JsonWriter } from '../../store/json-writer.js';
import { KeyAllowance } from '../key-allowance.js';
import { type Arguments, type RootSource, sourceOf } from './field-source.js';
import { EntityPlan, NotPlanned, type Planning, type Row, VectorSelection, writeList } from './selection-plan.js';

/**
 * More fields than a reasonable operation selects. Nested fragments could turn a few lines into millions of fields.
 */
const MAX_FIELDS = 5_000;

/** More levels of values than arguments of features have. */
const MAX_LEVELS = 20;

/** What one operation with its variables reads, and how its answer is written once that was read. */
export interface PlannedRead {
  readonly references: readonly FeatureReference[];
  /** Writes the whole answer. Throws DamagedValue and NotPlanned. */
  write(writer: JsonWriter, rows: readonly Row[]): void;
}

/** Writes the value of one field of the query type. */
type RootWrite = (writer: JsonWriter, rows: readonly Row[]) => void;

interface RootPlan {
  readonly label: FixedBytes;
  readonly argumentsOf: ArgumentReader;
  /** Adds what it reads to `references` and returns how its value is written. Throws what resolvers throw. */
  readonly prepare: (args: Arguments, allowance: KeyAllowance, references: FeatureReference[]) => RootWrite;
}

/** The variables of a request: as they were sent, and as graphql-js coerces them if that is necessary. */
interface Variables {
  /** Null if a variable is not obviously in its final form. */
  readonly simple: Readonly<Record<string, unknown>> | null;
  coerced(): Record<string, unknown>;
}

type ArgumentReader = (variables: Variables) => Arguments;

const OPEN = new FixedBytes('{"data":{');
const CLOSE = new FixedBytes('}}\n');

/** Compiles an operation of a valid document. Throws NotPlanned if the fast lane cannot answer it. */
export function compileReadPlan(schema: GraphQLSchema, document: DocumentNode, operationName: string | null): ReadPlan {
  const operation = operationOf(document, operationName);
  refuseConditions(document);
  const query = schema.getQueryType();
  if (!query || operation.operation !== OperationTypeNode.QUERY) throw new NotPlanned('no query');
  for (const { variable } of operation.variableDefinitions ?? []) {
    if (isPoison(variable.name.value)) throw new NotPlanned('a variable that a body may not have');
  }
  if (operation.directives && operation.directives.length > 0) throw new NotPlanned('directives on the operation');
  const fragments = Object.fromEntries(
    document.definitions.flatMap((one): [string, FragmentDefinitionNode][] =>
      one.kind === Kind.FRAGMENT_DEFINITION ? [[one.name.value, one]] : [],
    ),
  );
  const planning: Planning = { schema, fragments, room: MAX_FIELDS };
  const collected = collectFields(schema, fragments, {}, query, operation.selectionSet);
  let separator = '';
  const roots = [...collected].map(([name, nodes]): RootPlan => {
    const label = new FixedBytes(`${separator}"${name}":`);
    separator = ',';
    return { label, ...planRoot(planning, query, nodes) };
  });
  return new ReadPlan(schema, operation, roots);
}

function operationOf(document: DocumentNode, name: string | null): OperationDefinitionNode {
  const operations = document.definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION);
  const found = name === null ? operations : operations.filter((one) => one.name?.value === name);
  if (found.length !== 1 || !found[0]) throw new NotPlanned('not one operation');
  return found[0];
}

/** Throws NotPlanned if the selection depends on variables, because it then differs between requests. */
function refuseConditions(document: DocumentNode): void {
  visit(document, {
    Directive(node) {
      if (node.arguments?.some(({ value }) => value.kind === Kind.VARIABLE)) throw new NotPlanned('a condition');
    },
  });
}

function planRoot(planning: Planning, query: GraphQLObjectType, nodes: readonly FieldNode[]): Omit<RootPlan, 'label'> {
  const [node] = nodes;
  const field = node && query.getFields()[node.name.value];
  if (!node || !field) throw new NotPlanned('a field of introspection');
  const source = sourceOf(field) as RootSource | undefined;
  if (!source) throw new NotPlanned(`${field.name} has no source`);
  const argumentsOf = argumentReader(field, node);
  const type = getNamedType(field.type);
  if (source.kind === 'representations') {
    return { argumentsOf, prepare: prepareRepresentations(planning, source, nodes) };
  }
  if (!isObjectType(type)) throw new NotPlanned(`${field.name} is no object`);
  return {
    argumentsOf,
    prepare:
      source.kind === 'entities'
        ? prepareEntities(source, new EntityPlan(planning, type, nodes))
        : prepareVectors(source, new VectorSelection(planning, source.plan, type, nodes)),
  };
}

type SourceOf<K extends RootSource['kind']> = Extract<RootSource, { readonly kind: K }>;

function prepareEntities({ isList, keysOf }: SourceOf<'entities'>, plan: EntityPlan): RootPlan['prepare'] {
  const { views } = plan;
  return (args, allowance, references) => {
    const keys = keysOf(args, allowance);
    const from = references.length;
    for (const key of keys) for (const view of views) references.push({ view, key });
    if (!isList) return (writer, rows) => plan.write(writer, keys[0]!, rows, from);
    return (writer, rows) =>
      writeList(writer, keys.length, (index) => plan.write(writer, keys[index]!, rows, from + index * views.length));
  };
}

function prepareVectors(
  { isList, plan, inputsOf }: SourceOf<'vectors'>,
  selection: VectorSelection,
): RootPlan['prepare'] {
  const { views } = plan;
  return (args, allowance, references) => {
    const vectors = inputsOf(args, allowance);
    const from = references.length;
    for (const { byView } of vectors) {
      for (const [index, view] of views.entries()) references.push({ view, key: byView[index]! });
    }
    const write = (writer: JsonWriter, rows: readonly Row[], index: number): void =>
      selection.write(writer, vectors[index]!, rows, from + index * views.length);
    if (!isList) return (writer, rows) => write(writer, rows, 0);
    return (writer, rows) => writeList(writer, vectors.length, (index) => write(writer, rows, index));
  };
}

/** Prepares `_entities`. Each requested type is compiled when its first representation arrives. */
function prepareRepresentations(
  planning: Planning,
  { resolve }: SourceOf<'representations'>,
  nodes: readonly FieldNode[],
): RootPlan['prepare'] {
  const plans = new Map<string, EntityPlan>();
  const planOf = (typeName: string): EntityPlan => {
    const known = plans.get(typeName);
    if (known) return known;
    const type = planning.schema.getType(typeName);
    if (!isObjectType(type)) throw new NotPlanned(`no type ${typeName}`);
    const plan = new EntityPlan({ ...planning, room: MAX_FIELDS }, type, nodes);
    plans.set(typeName, plan);
    return plan;
  };
  return (args, allowance, references) => {
    const items: { plan: EntityPlan; key: EntityKey; from: number }[] = [];
    for (const resolved of resolve(args, allowance)) {
      if (resolved instanceof FStoreError) throw resolved;
      const { typeName, key } = resolved;
      const plan = planOf(typeName);
      items.push({ plan, key, from: references.length });
      for (const view of plan.views) references.push({ view, key });
    }
    return (writer, rows) =>
      writeList(writer, items.length, (index) => {
        const { plan, key, from } = items[index]!;
        plan.write(writer, key, rows, from);
      });
  };
}

/**
 * Returns a function that reads the arguments of a field. Arguments that are variables are used unchanged if all
 * variables are simple; constants are coerced once.
 */
function argumentReader(field: GraphQLField<unknown, unknown>, node: FieldNode): ArgumentReader {
  const generic: ArgumentReader = (variables) => getArgumentValues(field, node, variables.coerced());
  const nodes = node.arguments ?? [];
  if (nodes.some(({ value }) => value.kind !== Kind.VARIABLE && mentionsVariable(value))) return generic;
  if (field.args.some(({ defaultValue }) => defaultValue !== undefined)) return generic;
  const constants: Record<string, unknown> = {};
  const variableNames: [argument: string, variable: string][] = [];
  for (const { name, value } of nodes) {
    if (value.kind === Kind.VARIABLE) {
      variableNames.push([name.value, value.name.value]);
      continue;
    }
    const type = field.args.find((one) => one.name === name.value)?.type;
    const coerced = type && valueFromAST(value, type);
    if (coerced === undefined) return generic;
    constants[name.value] = coerced;
  }
  return (variables) => {
    const { simple } = variables;
    if (!simple) return generic(variables);
    const args: Record<string, unknown> = { ...constants };
    for (const [argument, variable] of variableNames) args[argument] = simple[variable];
    return args;
  };
}

function mentionsVariable(value: ArgumentNode['value']): boolean {
  let found = false;
  visit(value, {
    Variable() {
      found = true;
    },
  });
  return found;
}

/** Returns a value that is obviously in its coerced form; undefined for any other. */
type SimpleReader = (value: unknown) => unknown;

function readId(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return Number.isSafeInteger(value) ? `${value as number}` : undefined;
}

function readIds(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  let all = true;
  for (let index = 0; index < value.length; index += 1) all &&= typeof value[index] === 'string';
  if (all) return value as string[];
  const ids = value.map(readId);
  return ids.includes(undefined) ? undefined : (ids as string[]);
}

function readAnys(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) && value.every(isFlatObject) ? value : undefined;
}

/** Returns true for a name of a member that may change the prototype of an object. Fastify refuses bodies with them. */
function isPoison(name: string): boolean {
  return name === '__proto__' || name === 'constructor';
}

/** Returns true if a value contains such a name or more than `levels` levels: other code refuses it before Apollo. */
export function isSuspect(value: unknown, levels = MAX_LEVELS): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const name of Object.keys(value)) {
    if (isPoison(name) || isSuspect((value as Record<string, unknown>)[name], levels - 1)) return true;
  }
  return false;
}

/** Returns true for an object of strings, numbers and booleans without such names, as routers send it. */
function isFlatObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  for (const [name, field] of Object.entries(value)) {
    if (typeof field === 'object' || isPoison(name)) return false;
  }
  return true;
}

function simpleReader(node: TypeNode): SimpleReader | null {
  const type = node.kind === Kind.NON_NULL_TYPE ? node.type : node;
  if (type.kind === Kind.NAMED_TYPE) return type.name.value === 'ID' ? readId : null;
  const item = type.type.kind === Kind.NON_NULL_TYPE ? type.type.type : type.type;
  if (item.kind !== Kind.NAMED_TYPE) return null;
  return item.name.value === 'ID' ? readIds : item.name.value === '_Any' ? readAnys : null;
}

/** A compiled operation. */
export class ReadPlan {
  readonly #schema: GraphQLSchema;
  readonly #operation: OperationDefinitionNode;
  readonly #roots: readonly RootPlan[];
  readonly #names: ReadonlySet<string>;
  readonly variableNames: readonly string[];
  /** Null if a variable has a type that is never simple. */
  readonly #simple: readonly (readonly [name: string, read: SimpleReader])[] | null;

  constructor(schema: GraphQLSchema, operation: OperationDefinitionNode, roots: readonly RootPlan[]) {
    this.#schema = schema;
    this.variableNames = (operation.variableDefinitions ?? []).map(({ variable }) => variable.name.value);
    this.#names = new Set(this.variableNames);
    this.#operation = operation;
    this.#roots = roots;
    const readers = (operation.variableDefinitions ?? []).map(({ variable, type }) => {
      return [variable.name.value, simpleReader(type)] as const;
    });
    this.#simple = readers.every(([, read]) => read !== null) ? (readers as [string, SimpleReader][]) : null;
  }

  /**
   * Returns what the operation reads with these variables. Throws NotPlanned, and the errors of resolvers and coercion.
   */
  prepare(given: Readonly<Record<string, unknown>>, maxKeys: number): PlannedRead {
    for (const name in given) if (!this.#names.has(name)) throw new NotPlanned(`no variable ${name}`);
    const simple = this.#readSimple(given);
    // All variables are coerced, even unused ones, because an invalid variable is an error.
    let coerced = simple ? null : this.#coerce(given);
    const variables: Variables = {
      simple,
      coerced: () => {
        coerced ??= this.#coerce(given);
        return coerced;
      },
    };
    const references: FeatureReference[] = [];
    const allowance = new KeyAllowance(maxKeys);
    const roots = this.#roots;
    const writes = roots.map(({ argumentsOf, prepare }) => prepare(argumentsOf(variables), allowance, references));
    return {
      references,
      write: (writer, rows) => {
        writer.begin();
        writer.fixed(OPEN);
        for (let index = 0; index < writes.length; index += 1) {
          writer.fixed(roots[index]!.label);
          writes[index]!(writer, rows);
        }
        writer.fixed(CLOSE);
      },
    };
  }

  #readSimple(given: Readonly<Record<string, unknown>>): Record<string, unknown> | null {
    if (!this.#simple) return null;
    const values: Record<string, unknown> = {};
    for (const [name, read] of this.#simple) {
      const value = Object.hasOwn(given, name) ? read(given[name]) : undefined;
      if (value === undefined) return null;
      values[name] = value;
    }
    return values;
  }

  #coerce(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
    if (isSuspect(given)) throw new NotPlanned('variables that Apollo must read');
    const { coerced, errors } = getVariableValues(this.#schema, this.#operation.variableDefinitions ?? [], given);
    if (errors) throw errors[0] ?? new GraphQLError('a variable has a wrong value');
    return coerced;
  }
}
