/**
 * Plans the step from the current definitions to the wanted ones: versions to create, records to update, versions to
 * retire.
 *
 * Invariants
 * 1. A changed resolved definition gets a new version. Any other change does not. Equal definitions plan nothing.
 * 2. A view whose entity or source changes gets a new version too, even if it is not among the given definitions.
 * 3. The planner reports all issues together. If there is an issue, it plans nothing.
 */
import { errorOfIssues, FStoreError, type Issue } from '../errors.js';
import { canonicalJson, fingerprint } from './canonical-json.js';
import type { ComputationRules } from './computation.js';
import {
  type Definition,
  type DefinitionKind,
  definitionSchema,
  type FeatureView,
  type Transformer,
} from './definition.js';
import type {
  DefinitionRecord,
  EntityMeaning,
  FeaturePin,
  Meaning,
  OnDemandMeaning,
  ServiceMeaning,
  SourceMeaning,
  TransformerMeaning,
  ViewMeaning,
} from './definition-record.js';
import { camelCase } from './graphql-name.js';
import { type Resolved, resolveEntityMeaning, resolveSourceMeaning, resolveViewMeaning } from './meaning.js';
import { findCollisions, type ReservedNames } from './schema-names.js';
import {
  type Pinnable,
  type PinnableView,
  pinsOf,
  resolveOnDemandMeaning,
  resolveServiceMeaning,
  resolveTransformerMeaning,
} from './service-meaning.js';
import { declaredFeatures } from './view-version.js';

/** What an apply does to one definition. */
export type ChangeAction = 'CREATE' | 'NEW_VERSION' | 'UPDATE' | 'RETIRE';

/** One change of a plan. */
export interface PlannedChange {
  readonly action: ChangeAction;
  readonly kind: DefinitionKind;
  readonly name: string;
  readonly version: number;
}

/** The changes of an apply, and the records before and after it. */
export interface DefinitionPlan {
  readonly changes: readonly PlannedChange[];
  readonly create: readonly DefinitionRecord[];
  readonly update: readonly DefinitionRecord[];
  readonly retire: readonly DefinitionRecord[];
  /** All records after the apply. */
  readonly records: readonly DefinitionRecord[];
}

/** The options of an apply. */
export interface PlanOptions {
  /** Retires everything that is not among the given definitions. */
  readonly prune: boolean;
  /** View versions to retire, such as `view@2`. */
  readonly retire: readonly string[];
  readonly reserved: ReservedNames;
  readonly computation: ComputationRules;
}

// Kinds are in the order in which they resolve: each refers only to kinds before it. Operations of a consumer are
// checked when the schema is built.
const DATA_KINDS: readonly DefinitionKind[] = ['entity', 'source', 'featureView', 'consumer'];
const SERVING_KINDS: readonly DefinitionKind[] = ['onDemandFeatureView', 'transformer', 'featureService'];
const idOf = (item: { kind: DefinitionKind; name: string }): string => `${item.kind}/${item.name}`;

/** Checks the form of definitions. Throws all issues together (DEFINITION_INVALID, NAME_COLLISION). */
export function parseDefinitions(inputs: readonly unknown[]): Definition[] {
  const issues: Issue[] = [];
  const seen = new Map<string, number>();
  const definitions = inputs.flatMap((input, definition) => {
    const parsed = definitionSchema.safeParse(input);
    if (!parsed.success) {
      for (const issue of parsed.error.issues) {
        const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
        // A key of a record is refused for a reason of its own.
        const message = (issue.code === 'invalid_key' ? issue.issues[0]?.message : undefined) ?? issue.message;
        issues.push({ code: 'DEFINITION_INVALID', message, path, field: path.join('.'), definition });
      }
      return [];
    }
    const id = idOf(parsed.data);
    if (seen.has(id)) {
      const message = `${parsed.data.kind} ${parsed.data.name} is declared twice`;
      issues.push({ code: 'NAME_COLLISION', message, path: ['name'], field: 'name', definition });
    }
    seen.set(id, definition);
    return [parsed.data];
  });
  if (issues.length > 0) throw errorOfIssues(issues);
  return definitions;
}

/** Plans the step from `records` (all versions of a project) to `definitions`. Throws all issues together. */
export function planDefinitions(
  records: readonly DefinitionRecord[],
  definitions: readonly Definition[],
  options: PlanOptions,
): DefinitionPlan {
  const issues: Issue[] = [];
  const given = new Map(definitions.map((definition, index) => [idOf(definition), index]));
  const heads = new Map<string, DefinitionRecord>();
  const lastVersion = new Map<string, number>();
  for (const record of records) {
    const id = idOf(record);
    lastVersion.set(id, Math.max(lastVersion.get(id) ?? 0, record.version));
    if (record.active && (heads.get(id)?.version ?? 0) < record.version) heads.set(id, record);
  }
  const retired = new Set<DefinitionRecord>();
  const retire = (record: DefinitionRecord): void => void (record.active && retired.add(record));
  if (options.prune) for (const record of records) if (!given.has(idOf(record))) retire(record);
  for (const [index, reference] of options.retire.entries()) {
    const record = records.find(
      (one) => one.kind === 'featureView' && `${one.name}@${one.version}` === reference && one.active,
    );
    if (record && heads.get(idOf(record)) !== record) retire(record);
    else {
      const message = record
        ? `${reference} is the current version; a view is removed by applying all definitions but it with prune`
        : `there is no active view version ${reference} to retire`;
      issues.push({ code: 'VIEW_UNKNOWN', message, path: ['retire', index], field: `retire.${index}` });
    }
  }

  const wanted = new Map<string, Definition>();
  for (const [id, record] of heads) if (!retired.has(record)) wanted.set(id, record.definition);
  for (const definition of definitions) wanted.set(idOf(definition), definition);

  const create: DefinitionRecord[] = [];
  const update: DefinitionRecord[] = [];
  const changes: PlannedChange[] = [];
  const settle = (definition: Definition, resolved: Resolved<Meaning>): DefinitionRecord | null => {
    const id = idOf(definition);
    const index = given.get(id);
    for (const finding of resolved.findings) {
      issues.push({ ...finding, field: finding.path.join('.'), ...(index === undefined ? {} : { definition: index }) });
    }
    if (!resolved.meaning) return null;
    const { kind, name } = definition;
    const print = fingerprint(resolved.meaning);
    const head = heads.get(id);
    if (head && !retired.has(head) && head.fingerprint === print) {
      if (canonicalJson(head.definition) === canonicalJson(definition)) return head;
      const record = { ...head, definition };
      update.push(record);
      changes.push({ action: 'UPDATE', kind, name, version: head.version });
      return record;
    }
    const version = (lastVersion.get(id) ?? 0) + 1;
    const record = { kind, name, version, fingerprint: print, definition, meaning: resolved.meaning, active: true };
    create.push(record);
    changes.push({ action: head ? 'NEW_VERSION' : 'CREATE', kind, name, version });
    if (head && kind !== 'featureView') retire(head);
    return record;
  };

  const entities = new Map<string, EntityMeaning>();
  const sources = new Map<string, SourceMeaning>();
  const settled = new Map<string, DefinitionRecord>();
  // Skip definitions whose inputs have not changed since they were resolved. In most applies that is nearly all.
  const isUntouched = ({ kind, name, meaning }: DefinitionRecord): boolean => {
    if (given.has(`${kind}/${name}`)) return false;
    if (kind !== 'featureView') return true;
    const { entity, source, sql } = meaning as ViewMeaning;
    const was = (id: string) => heads.get(id)?.meaning;
    return (
      entities.has(entity) &&
      entities.get(entity) === was(`entity/${entity}`) &&
      [source, ...(sql?.with ?? [])].every((one) => sources.has(one) && sources.get(one) === was(`source/${one}`))
    );
  };
  for (const kind of DATA_KINDS) {
    for (const definition of wanted.values()) {
      if (definition.kind !== kind) continue;
      const head = heads.get(idOf(definition));
      const untouched = head && !retired.has(head) && isUntouched(head);
      const record = untouched ? head : settle(definition, resolveOne(definition, entities, sources));
      if (!record) continue;
      settled.set(idOf(record), record);
      if (kind === 'entity') entities.set(record.name, record.meaning as EntityMeaning);
      if (kind === 'source') sources.set(record.name, record.meaning as SourceMeaning);
    }
  }
  retireViewsOfOtherKeys(records, heads, entities, retire);

  const views = pinnableViews(records, settled, retired);
  const { computation } = options;
  const onDemand: Pinnable<OnDemandMeaning>[] = [];
  const transformers: Pinnable<TransformerMeaning>[] = [];
  for (const kind of SERVING_KINDS) {
    for (const definition of wanted.values()) {
      if (definition.kind !== kind) continue;
      const id = idOf(definition);
      // A definition that is not among the given ones keeps the versions that it pinned when it was applied.
      const head = heads.get(id);
      let record: DefinitionRecord | null = head && !given.has(id) ? head : null;
      if (record) {
        for (const message of brokenPins(record, views)) {
          issues.push({ code: 'REFERENCE_UNKNOWN', message, path: ['features'], field: 'features' });
        }
      } else if (definition.kind === 'onDemandFeatureView') {
        record = settle(definition, resolveOnDemandMeaning(definition, views, computation));
      } else if (definition.kind === 'transformer') {
        const kept = keepParameters(definition, head);
        record = settle(kept, resolveTransformerMeaning(kept, { views, onDemand }, computation));
      } else if (definition.kind === 'featureService') {
        record = settle(definition, resolveServiceMeaning(definition, { views, onDemand, transformers }));
      }
      if (!record) continue;
      settled.set(id, record);
      if (kind === 'onDemandFeatureView') onDemand.push(record as DefinitionRecord<Definition, OnDemandMeaning>);
      if (kind === 'transformer') transformers.push(record as DefinitionRecord<Definition, TransformerMeaning>);
    }
  }
  for (const record of retired) {
    changes.push({ action: 'RETIRE', kind: record.kind, name: record.name, version: record.version });
  }

  const updated = new Map(update.map((record) => [`${idOf(record)}@${record.version}`, record]));
  // Unchanged records stay the same objects, because caches (such as the one in view-version.ts) use them as keys.
  const next = records.map((record) => {
    if (retired.has(record)) return { ...record, active: false };
    return updated.get(`${idOf(record)}@${record.version}`) ?? record;
  });
  const all = [...next, ...create];
  if (issues.length === 0) {
    for (const { owner, ...issue } of findCollisions(all, options.reserved)) {
      const index = given.get(idOf(owner));
      issues.push({
        ...issue,
        field: issue.path?.join('.') ?? '',
        ...(index === undefined ? {} : { definition: index }),
      });
    }
  }
  if (issues.length > 0) throw errorOfIssues(issues);
  return { changes, create, update, retire: [...retired], records: all };
}

function resolveOne(
  definition: Definition,
  entities: ReadonlyMap<string, EntityMeaning>,
  sources: ReadonlyMap<string, SourceMeaning>,
): Resolved<Meaning> {
  switch (definition.kind) {
    case 'entity':
      return resolveEntityMeaning(definition);
    case 'source':
      return resolveSourceMeaning(definition);
    case 'featureView':
      return resolveViewMeaning(definition, entities, sources);
    case 'consumer':
      return { meaning: { operations: definition.operations }, findings: [] };
    default:
      throw new FStoreError('INTERNAL', `${definition.kind} is resolved after views`);
  }
}

/** Keeps fitted parameters if the same transformer is applied again: its definition file does not contain them. */
function keepParameters(definition: Transformer, head: DefinitionRecord | undefined): Transformer {
  const known = head?.definition as Transformer | undefined;
  if (definition.parameters || !known?.parameters) return definition;
  const same =
    canonicalJson([known.feature, known.transform]) === canonicalJson([definition.feature, definition.transform]);
  const { parameters, fittedOn } = known;
  return same ? { ...definition, parameters, ...(fittedOn === undefined ? {} : { fittedOn }) } : definition;
}

/** Retires the older versions of views whose entity has different join keys: no request could address them. */
function retireViewsOfOtherKeys(
  records: readonly DefinitionRecord[],
  heads: ReadonlyMap<string, DefinitionRecord>,
  entities: ReadonlyMap<string, EntityMeaning>,
  retire: (record: DefinitionRecord) => void,
): void {
  for (const record of records) {
    if (record.kind !== 'featureView') continue;
    const meaning = record.meaning as ViewMeaning;
    if (entities.get(meaning.entity) === heads.get(`entity/${meaning.entity}`)?.meaning) continue;
    const now = entities.get(meaning.entity)?.joinKeys.map(({ name, type }) => ({ name, type }));
    if (canonicalJson(now) !== canonicalJson(meaning.keys.map(({ name, type }) => ({ name, type })))) retire(record);
  }
}

function pinnableViews(
  records: readonly DefinitionRecord[],
  settled: ReadonlyMap<string, DefinitionRecord>,
  retired: ReadonlySet<DefinitionRecord>,
): PinnableView[] {
  const active = records.filter((record) => record.active && !retired.has(record) && record.kind === 'featureView');
  const current = [...settled.values()].filter((record) => record.kind === 'featureView');
  const isSettled = (record: DefinitionRecord) => settled.get(idOf(record))?.version === record.version;
  return [...current, ...active.filter((record) => !isSettled(record))].map((record) => {
    const definition = record.definition as FeatureView;
    return {
      name: record.name,
      version: record.version,
      current: isSettled(record),
      meaning: record.meaning as ViewMeaning,
      // A getter, because only services that read the view need it.
      get fields() {
        return fieldsOf(definition);
      },
    };
  });
}

function fieldsOf(view: FeatureView): Map<string, string> {
  const declared = [...declaredFeatures(view)];
  return new Map(declared.map(([feature, { graphql }]) => [feature, graphql ?? camelCase(feature)]));
}

function brokenPins({ kind, name, meaning }: DefinitionRecord, views: readonly PinnableView[]): string[] {
  const known = new Set(views.map((view) => `${view.name}@${view.version}`));
  const pins = pinnedViews(kind, meaning).map((pin) => `${pin.view}@${pin.version}`);
  const broken = new Set(pins.filter((pin) => !known.has(pin)));
  const label = { onDemandFeatureView: 'on-demand view', transformer: 'transformer' }[kind as string] ?? 'service';
  return [...broken].map(
    (pin) => `${label} ${name} reads ${pin}, which would no longer be active; apply the ${label} too`,
  );
}

function pinnedViews(kind: DefinitionKind, meaning: Meaning): readonly FeaturePin[] {
  if (kind === 'featureService') return (meaning as ServiceMeaning).features.flatMap(pinsOf);
  const computed =
    kind === 'transformer' ? [(meaning as TransformerMeaning).source] : (meaning as OnDemandMeaning).features;
  return computed.flatMap((one) => ('view' in one ? [one] : one.inputs.flatMap(({ pin }) => (pin ? [pin] : []))));
}
