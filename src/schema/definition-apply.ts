/**
 * Plan and apply: turns given definitions into a new revision of the registry.
 *
 * Invariants
 * 1. Definitions that cannot be served are refused here: the whole candidate schema is built and checked before
 *    anything is written.
 * 2. `apply` does exactly what `plan` showed, on the revision that it was planned on. Otherwise it fails with
 *    REVISION_CONFLICT.
 * 3. Breaking a registered operation is a breaking change that names its consumer. A newly registered operation must be
 *    valid.
 * 4. Stores and topics are prepared before the registry changes, so a crash in between leaves nothing but empty tables.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { CriticalityLevel, diff } from '@graphql-inspector/core';
import type { GraphQLSchema } from 'graphql';
import type { EventBus } from '../bus/event-bus.js';
import type { Definition, Source } from '../definition/definition.js';
import { type DefinitionPlan, parseDefinitions, planDefinitions } from '../definition/plan.js';
import type { ReservedNames } from '../definition/schema-names.js';
import { errorOfIssues, FStoreError, type Issue } from '../errors.js';
import { prepareSnapshot } from '../materialization/preparation.js';
import type { Registry } from '../registry/registry.js';
import type { RegistryFollower } from '../registry/registry-follower.js';
import { createSnapshot } from '../registry/snapshot.js';
import type { OfflineStore } from '../store/offline-store.js';
import type { QueryReader } from '../store/query-reader.js';
import { computation } from '../transformation/computation.js';
import type { LiveSchema, PublishedSchema } from './live-schema.js';
import type { ApplyDefinitions, ApplyRequest, PlanReport, SchemaChange } from './plan-report.js';
import { describeOperation, type RegisteredOperations } from './registered-operations.js';

/** The dependencies of DefinitionApply and the engines of this installation. */
export interface DefinitionApplyOptions {
  readonly registry: Registry;
  readonly follower: RegistryFollower;
  readonly offline: OfflineStore;
  readonly bus: EventBus;
  readonly live: LiveSchema;
  readonly reserved: ReservedNames;
  /** Whether this installation has Spark, and Kafka for Spark to read from; false by default. */
  readonly hasSpark?: boolean;
  /** Whether this installation has a schema registry; false by default. */
  readonly hasSchemaRegistry?: boolean;
  /** Whether Spark reads batch sources here, and the names of the database connections it may use; none by default. */
  readonly batches?: { readonly spark: boolean; readonly connections: readonly string[] };
  /** What reads queries and tables of the offline store's PostgreSQL; default: something does. */
  readonly queries?: Pick<QueryReader, 'closed'>;
  readonly log?: (level: 'info', message: string, fields: Record<string, unknown>) => void;
}

/** A line of the log names so many changes of an apply; the audit record of the registry names all. */
const MAX_LOGGED_CHANGES = 20;

/** Plans and applies definitions on the registry of one project. */
export class DefinitionApply implements ApplyDefinitions {
  readonly #options: DefinitionApplyOptions;

  constructor(options: DefinitionApplyOptions) {
    this.#options = options;
  }

  /** Returns what an apply would change. Throws one error with all issues of the definitions. */
  async plan(request: ApplyRequest): Promise<PlanReport> {
    const { report } = await this.#prepare(request);
    return report;
  }

  /**
   * Applies definitions. Returns the changes and the new revision, or the old revision if nothing changed. Throws the
   * issues of the definitions, BREAKING_CHANGE unless allowed, REVISION_CONFLICT, and errors of stores.
   */
  async apply(request: ApplyRequest, allowBreaking: boolean, actor: string): Promise<PlanReport> {
    const { registry, follower, offline, bus } = this.#options;
    const { plan, report } = await this.#prepare(request);
    if (plan.changes.length === 0) return report;
    const breaking = report.schemaChanges.filter((change) => change.criticality === 'BREAKING');
    if (breaking.length > 0 && !allowBreaking) {
      const shown = breaking.slice(0, 3).map((change) => change.message);
      throw new FStoreError('BREAKING_CHANGE', `${breaking.length} breaking: ${shown.join('; ')}`, {
        field: 'allowBreaking',
      });
    }
    const next = createSnapshot({
      project: follower.current.project,
      revision: report.revision + 1,
      records: plan.records,
    });
    await prepareSnapshot(next, { offline, bus });
    const summary = plan.changes.map((change) => `${change.action} ${change.kind} ${change.name}@${change.version}`);
    const revision = await registry.apply({
      expectedRevision: report.revision,
      create: plan.create,
      update: plan.update,
      retire: plan.retire,
      actor,
      summary,
    });
    this.#options.log?.('info', 'definitions were applied', {
      ...{ revision, actor, allowBreaking, breaking: breaking.length },
      changes: summary.slice(0, MAX_LOGGED_CHANGES),
      ...(summary.length > MAX_LOGGED_CHANGES ? { more: summary.length - MAX_LOGGED_CHANGES } : {}),
    });
    await follower.refresh();
    return { ...report, revision };
  }

  /** Throws SCHEMA_REGISTRY_MISSING for Avro sources whose schema this installation cannot look up. */
  #checkFormats(definitions: readonly Definition[]): void {
    if (this.#options.hasSchemaRegistry) return;
    const isNaming = (one: Definition): boolean =>
      one.kind === 'source' && one.stream?.format === 'avro' && one.stream.avroSchema === undefined;
    const index = definitions.findIndex(isNaming);
    if (index < 0) return;
    const message = `source ${definitions[index]!.name} has Avro without avroSchema, and this FStore has no schema registry`;
    throw new FStoreError('SCHEMA_REGISTRY_MISSING', message, { field: `definitions[${index}].stream.format` });
  }

  /**
   * Throws ENGINE_UNAVAILABLE, REFERENCE_UNKNOWN or SQL_QUERIES_OFF for what this installation cannot compute or read.
   */
  #checkEngines(definitions: readonly Definition[]): void {
    for (const [index, one] of definitions.entries()) {
      if (one.kind === 'source') this.#checkBatch(one, `definitions[${index}].batch`);
    }
    if (this.#options.hasSpark) return;
    const index = definitions.findIndex((one) => one.kind === 'featureView' && one.engine === 'spark');
    if (index < 0) return;
    const message = `view ${definitions[index]!.name} asks for Spark, and this FStore has no Spark with Kafka`;
    throw new FStoreError('ENGINE_UNAVAILABLE', message, { field: `definitions[${index}].engine` });
  }

  #checkBatch({ name, batch }: Source, field: string): void {
    const { closed = null } = this.#options.queries ?? {};
    const origin = (['query', 'table'] as const).find((one) => batch?.[one] !== undefined);
    if (origin && closed !== null) {
      const message = `source ${name} is read by SQL, and none is run here: ${closed}`;
      throw new FStoreError('SQL_QUERIES_OFF', message, { field: `${field}.${origin}` });
    }
    if (batch?.engine !== 'spark') return;
    const { spark, connections } = this.#options.batches ?? { spark: false, connections: [] };
    if (!spark) {
      const message = `the batch of source ${name} asks for Spark, and this FStore has none`;
      throw new FStoreError('ENGINE_UNAVAILABLE', message, { field: `${field}.engine` });
    }
    const { connection } = batch.jdbc ?? {};
    if (connection === undefined || connections.includes(connection)) return;
    const known = connections.join(', ') || 'none';
    const message = `there is no connection ${connection} (there are: ${known}): set FSTORE_JDBC_${connection.toUpperCase()}_URL`;
    throw new FStoreError('REFERENCE_UNKNOWN', message, { field: `${field}.jdbc.connection` });
  }

  async #prepare(request: ApplyRequest): Promise<{ plan: DefinitionPlan; report: PlanReport }> {
    const { follower, live, reserved } = this.#options;
    const definitions = parseDefinitions(request.definitions);
    this.#checkEngines(definitions);
    this.#checkFormats(definitions);
    const snapshot = await follower.refresh();
    const { prune, retire } = request;
    // Each of these steps takes milliseconds for a thousand views, so requests get a turn in between.
    await turn();
    const plan = planDefinitions(snapshot.records, definitions, { prune, retire, reserved, computation });
    const { project, revision } = snapshot;
    if (plan.changes.length === 0) return { plan, report: { revision, changes: [], schemaChanges: [] } };
    await turn();
    const candidate = createSnapshot({ project, revision: revision + 1, records: plan.records }, snapshot);
    let next: PublishedSchema;
    try {
      next = await live.propose(candidate);
    } catch (error) {
      throw new FStoreError('SCHEMA_INVALID', (error as Error).message, {}, [], { cause: error });
    }
    refuseUnfit(plan, definitions, next.operations);
    await turn();
    const before = live.current;
    const schemaChanges = [
      ...compareOperations(before.operations, next.operations),
      ...(await compare(before.schema, next.schema)),
    ];
    return { plan, report: { revision, changes: plan.changes, schemaChanges } };
  }
}

/** Throws one error with all issues of operations that consumers would register in this step. */
function refuseUnfit(
  { create }: DefinitionPlan,
  definitions: readonly Definition[],
  operations: RegisteredOperations,
): void {
  const issues = create.flatMap(({ kind, name, definition }): Issue[] => {
    if (definition.kind !== 'consumer') return [];
    const place = definitions.findIndex((one) => one.kind === kind && one.name === name);
    return definition.operations.flatMap((text, index): Issue[] => {
      const message = operations.withText(text)?.fault;
      const path = ['operations', index];
      return message ? [{ code: 'DEFINITION_INVALID', message, path, field: path.join('.'), definition: place }] : [];
    });
  });
  if (issues.length > 0) throw errorOfIssues(issues);
}

/** Lists how a step changes the operations that clients send by id. */
function compareOperations(before: RegisteredOperations, after: RegisteredOperations): SchemaChange[] {
  const changes: SchemaChange[] = [];
  for (const operation of before) {
    const next = after.withId(operation.id);
    const subject = describeOperation(operation);
    if (!next) changes.push({ criticality: 'DANGEROUS', message: `${subject} is registered no longer`, path: null });
    else if (operation.fault === null && next.fault !== null) {
      changes.push({ criticality: 'BREAKING', message: `${subject} would not fit: ${next.fault}`, path: null });
    }
  }
  return changes;
}

async function compare(before: GraphQLSchema, after: GraphQLSchema): Promise<SchemaChange[]> {
  const changes = await diff(withoutShared(before, after), withoutShared(after, before));
  const levels: Record<CriticalityLevel, SchemaChange['criticality']> = {
    [CriticalityLevel.Breaking]: 'BREAKING',
    [CriticalityLevel.Dangerous]: 'DANGEROUS',
    [CriticalityLevel.NonBreaking]: 'SAFE',
  };
  // A new entity joins federation's union by itself, and no client selects fields of that union.
  const shown = changes.filter((change) => !change.path?.startsWith('_Entity'));
  return shown.map(({ criticality, message, path }) => ({
    criticality: levels[criticality.level],
    message,
    path: path ?? null,
  }));
}

/**
 * Removes from a schema all types that `other` shares as the same object, because they cannot differ. That is most
 * types of a large project.
 */
function withoutShared(schema: GraphQLSchema, other: GraphQLSchema): GraphQLSchema {
  const others = other.getTypeMap();
  const types = Object.entries(schema.getTypeMap()).filter(([name, type]) => others[name] !== type);
  return Object.create(schema, { getTypeMap: { value: () => Object.fromEntries(types) } }) as GraphQLSchema;
}
