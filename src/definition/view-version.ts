/** A version of a feature view, resolved: all that reading, writing and showing its values needs to know. */
import { fingerprint } from './canonical-json.js';
import type { FeatureView } from './definition.js';
import type { DefinitionRecord, ViewMeaning } from './definition-record.js';
import { parseDuration } from './duration.js';
import { camelCase, pascalCase, viewFieldName } from './graphql-name.js';
import type { KeyType, ValueType } from './value-type.js';

export interface JoinKey {
  readonly name: string;
  readonly type: KeyType;
  /** Column of the source that holds this join key. */
  readonly column: string;
}

export interface Feature {
  readonly name: string;
  readonly type: ValueType;
  readonly column: string;
  readonly graphqlName: string;
  readonly description: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

export interface ViewVersion {
  /** `name@version`: how keys, tables of offsets, logs and updates name this version. */
  readonly id: string;
  readonly name: string;
  readonly version: number;
  /** True for the newest active version: the one that the field without a suffix serves. */
  readonly current: boolean;
  readonly fingerprint: string;
  readonly entity: string;
  readonly source: string;
  readonly timestamp: string;
  readonly keys: readonly JoinKey[];
  readonly features: readonly Feature[];
  /** Milliseconds; null: values never grow too old. */
  readonly ttl: number | null;
  /** Name of the history table; differs for every version and meaning, so that a half-finished apply can never be mistaken. */
  readonly table: string;
  readonly typeName: string;
  readonly fieldName: string;
  readonly description: string | undefined;
  readonly owner: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

/** Records do not change, so each is resolved once, as the current version and as an older one. */
const resolved = new WeakMap<DefinitionRecord, { current?: ViewVersion; older?: ViewVersion }>();

/** Resolves a record of a view; `current` says whether it is the newest active version. */
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
  const declared = new Map(
    definition.features.map((item) => (typeof item === 'string' ? [item, null] : [item.name, item])),
  );
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
    features: meaning.features.map((feature) => {
      const item = declared.get(feature.name);
      return {
        ...feature,
        graphqlName: item?.graphql ?? camelCase(feature.name),
        description: item?.description,
        tags: item?.tags ?? {},
      };
    }),
    ttl: definition.ttl === undefined ? null : parseDuration(definition.ttl),
    table: `view_${record.name.slice(0, 32)}_${fingerprint([record.name, record.version, record.fingerprint])}`,
    typeName: `${definition.graphql?.type ?? pascalCase(record.name)}${suffix}`,
    fieldName: `${definition.graphql?.field ?? viewFieldName(meaning.entity, record.name)}${suffix}`,
    description: definition.description,
    owner: definition.owner,
    tags: definition.tags ?? {},
  };
}
