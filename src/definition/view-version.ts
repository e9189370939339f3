/** Resolves a version of a feature view: everything needed to read, write and publish its values. */
import { isSumming } from './aggregate-function.js';
import { fingerprint } from './canonical-json.js';
import type { Engine, FeatureView } from './definition.js';
import type { AggregationMeaning, DefinitionRecord, SqlMeaning, ViewMeaning } from './definition-record.js';
import { parseDuration } from './duration.js';
import { camelCase, pascalCase, viewFieldName } from './graphql-name.js';
import type { KeyType, ValueType } from './value-type.js';

/** A join key of a view. */
export interface JoinKey {
  readonly name: string;
  readonly type: KeyType;
  /** Column of the source, or of the result of a query, that holds this join key. */
  readonly column: string;
}

/** A feature of a view. */
export interface Feature {
  readonly name: string;
  readonly type: ValueType;
  /** The column of the source that the feature is; null if the feature is computed. */
  readonly column: string | null;
  /** How the feature is computed, such as `sum(amount) over 7d`; null for a column. */
  readonly computation: string | null;
  readonly graphqlName: string;
  readonly description: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

/** A column of the source, or of the result of a query, that the view's history stores. */
export interface StoredColumn {
  readonly name: string;
  readonly type: ValueType;
  /** The name of the column in the source or in the result. */
  readonly column: string;
  /** True for doubles that are summed, which must not exceed SUMMABLE_LIMIT. */
  readonly summed?: boolean;
}

/** One version of a feature view, with its GraphQL names. */
export interface ViewVersion {
  /** `name@version`: the identifier of this version in keys, offset tables, logs and updates. */
  readonly id: string;
  readonly name: string;
  readonly version: number;
  /** True for the newest active version, which the GraphQL field without a version suffix serves. */
  readonly current: boolean;
  readonly fingerprint: string;
  readonly entity: string;
  readonly source: string;
  readonly timestamp: string;
  readonly keys: readonly JoinKey[];
  readonly features: readonly Feature[];
  /** The columns that history stores of each event: the features themselves, or the columns that aggregates read. */
  readonly columns: readonly StoredColumn[];
  /** How features are computed from columns; null if the columns are the features. */
  readonly aggregation: AggregationMeaning | null;
  /** The query whose result has the columns; null if they come from the source. */
  readonly sql: SqlMeaning | null;
  /** The engine that computes the view from its source's stream. It is not part of the resolved definition. */
  readonly engine: Engine;
  /** Milliseconds; null if values never expire. */
  readonly ttl: number | null;
  /**
   * The name of the history table. It differs for every version and resolved definition, so that an apply never reuses
   * a table that an interrupted apply has left.
   */
  readonly table: string;
  readonly typeName: string;
  readonly fieldName: string;
  readonly description: string | undefined;
  readonly owner: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

/** Records never change, so each is resolved at most twice: as the current version and as an older one. */
const resolved = new WeakMap<DefinitionRecord, { current?: ViewVersion; older?: ViewVersion }>();

/** Resolves the record of a view; `current` says whether it is the newest active version. */
export function resolveView(record: DefinitionRecord, current: boolean): ViewVersion {
  const known = resolved.get(record) ?? {};
  resolved.set(record, known);
  if (current) {
    known.current ??= resolve(record, true);
    return known.current;
  }
  known.older ??= resolve(record, false);
  return known.older;
}

function resolve(record: DefinitionRecord, current: boolean): ViewVersion {
  const definition = record.definition as FeatureView;
  const meaning = record.meaning as ViewMeaning;
  const declared = declaredFeatures(definition);
  const suffix = current ? '' : `V${record.version}`;
  return {
    id: `${record.name}@${record.version}`,
    name: record.name,
    version: record.version,
    current,
    fingerprint: record.fingerprint,
    entity: meaning.entity,
    source: meaning.source,
    timestamp: meaning.timestamp,
    keys: meaning.keys,
    features: meaning.features.map(({ name, type, column }) => {
      const item = declared.get(name);
      return {
        name,
        type,
        column,
        computation: item?.computation ?? null,
        graphqlName: item?.graphql ?? camelCase(name),
        description: item?.description,
        tags: item?.tags ?? {},
      };
    }),
    columns: storedColumns(meaning),
    aggregation: meaning.aggregation ?? null,
    sql: meaning.sql ?? null,
    engine: definition.engine ?? 'builtin',
    ttl: definition.ttl === undefined ? null : parseDuration(definition.ttl),
    table: `view_${record.name.slice(0, 32)}_${fingerprint([record.name, record.version, record.fingerprint])}`,
    typeName: `${definition.graphql?.type ?? pascalCase(record.name)}${suffix}`,
    fieldName: `${definition.graphql?.field ?? viewFieldName(meaning.entity, record.name)}${suffix}`,
    description: definition.description,
    owner: definition.owner,
    tags: definition.tags ?? {},
  };
}

interface DeclaredFeature {
  readonly graphql?: string | undefined;
  readonly description?: string | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly computation?: string;
}

/** Returns what a view's definition declares for each of its features, by feature name. */
export function declaredFeatures(definition: FeatureView): Map<string, DeclaredFeature> {
  const rows = (definition.features ?? []).map((item): [string, DeclaredFeature] =>
    typeof item === 'string' ? [item, {}] : [item.name, item],
  );
  const windows = (definition.aggregations ?? []).flatMap(({ name, windows: lengths, description, tags, ...item }) =>
    lengths.map((length): [string, DeclaredFeature] => {
      const computation = `${item.function}(${item.column ?? '*'}${item.n ? `, ${item.n}` : ''}) over ${length}`;
      return [`${name}_${length}`, { description, tags, computation }];
    }),
  );
  const results = Object.keys(definition.sql?.features ?? {}).map((name): [string, DeclaredFeature] => [
    name,
    { computation: 'a query in SQL' },
  ]);
  return new Map([...rows, ...windows, ...results]);
}

function storedColumns(meaning: ViewMeaning): StoredColumn[] {
  if (!meaning.aggregation) {
    return meaning.features.map(({ name, type, column }) => ({ name, type, column: column ?? name }));
  }
  const columns = new Map<string, StoredColumn>();
  for (const { function: name, column, type } of meaning.aggregation.aggregates) {
    if (column === null || type === null) continue;
    const summed = type === 'FLOAT64' && (isSumming(name) || columns.get(column)?.summed === true);
    columns.set(column, { name: column, type, column, summed });
  }
  return [...columns.values()];
}
