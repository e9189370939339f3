/**
 * Records of the registry: a definition, its version and its resolved definition (`meaning`).
 *
 * Invariants
 * 1. `meaning` and `fingerprint` of a (kind, name, version) never change. `definition` may change in fields that do
 *    not affect values: description, owner, tags, TTL and GraphQL names.
 * 2. Equal resolved definitions have equal fingerprints, whatever the order of their keys.
 */
import type { AggregateFunction } from './aggregate-function.js';
import type { Definition, DefinitionKind } from './definition.js';
import type { FittedParameters, TransformerOptions } from './transformer-options.js';
import type { KeyType, ValueType } from './value-type.js';

/** A resolved entity. */
export interface EntityMeaning {
  readonly joinKeys: readonly { readonly name: string; readonly type: KeyType }[];
}

/** A resolved source. */
export interface SourceMeaning {
  readonly schema: Readonly<Record<string, ValueType>>;
  readonly timestamp: string;
  readonly topic: string | null;
  /** Absent if messages of the topic are JSON. `schema` null: each message names its schema in a schema registry. */
  readonly avro?: { readonly schema: Readonly<Record<string, unknown>> | null };
  /** Absent if the source is not read in batches. */
  readonly batch?: BatchMeaning;
}

/** Where batch rows come from: a file, a SELECT on the offline store, or a SELECT on another database. */
export type BatchMeaning =
  | { readonly format: 'csv' | 'ndjson' | 'parquet' | 'arrow' | 'orc'; readonly path: string }
  | { readonly query: string; readonly connection?: string };

/**
 * A resolved view. It holds everything that its values depend on, except the tables that a query reads. So a later
 * change of its entity or source does not affect it.
 */
export interface ViewMeaning {
  readonly entity: string;
  readonly source: string;
  readonly timestamp: string;
  /** `column` is a column of the source, or of the result of a query. */
  readonly keys: readonly { readonly name: string; readonly type: KeyType; readonly column: string }[];
  /** `column` is null if the feature is computed and not a column of the source. */
  readonly features: readonly { readonly name: string; readonly type: ValueType; readonly column: string | null }[];
  readonly aggregation?: AggregationMeaning;
  readonly sql?: SqlMeaning;
}

/** A query over the events of the source. Its tables are read as they are declared when the query runs. */
export interface SqlMeaning {
  readonly query: string;
  /** Names of the sources that the query reads as tables. */
  readonly with: readonly string[];
}

/** The aggregates of a view. Each is stored once and read over one or more windows. */
export interface AggregationMeaning {
  readonly aggregates: readonly {
    readonly function: AggregateFunction;
    /** Null if the aggregate counts events, whatever their columns hold. */
    readonly column: string | null;
    readonly type: ValueType | null;
    /** The number of values that `lastN` keeps; null for other functions. */
    readonly n: number | null;
  }[];
  /** One entry for each feature: the index of its aggregate, and length and hop of its window in milliseconds. */
  readonly features: readonly { readonly aggregate: number; readonly length: number; readonly hop: number }[];
}

/** A feature of one version of a view. */
export interface FeaturePin {
  readonly view: string;
  readonly version: number;
  readonly feature: string;
}

/** A value that a client sends with a request. */
export interface RequestColumn {
  readonly name: string;
  readonly type: ValueType;
}

/** A feature that an expression computes from other features and from request data. */
export interface ComputedFeature {
  readonly name: string;
  readonly type: ValueType;
  readonly expression: string;
  /** The inputs of the expression; `pin` is null for request data. */
  readonly inputs: readonly { readonly name: string; readonly type: ValueType; readonly pin: FeaturePin | null }[];
}

/** A resolved on-demand view. */
export interface OnDemandMeaning {
  readonly request: readonly RequestColumn[];
  readonly features: readonly ComputedFeature[];
}

/** A resolved transformer. */
export interface TransformerMeaning {
  readonly source: FeaturePin | ComputedFeature;
  /** The type of the feature that it transforms. */
  readonly input: ValueType;
  readonly type: ValueType;
  readonly options: TransformerOptions;
  /** Null until it is fitted. */
  readonly parameters: FittedParameters | null;
}

/** A feature of a service: from a view, computed, or transformed. Origins have the form `name@version`. */
export type ServiceFeature = { readonly field: string } & (
  | FeaturePin
  | { readonly onDemand: string; readonly computed: ComputedFeature }
  | { readonly transformer: string; readonly transformed: TransformerMeaning }
);

/** A resolved service. It pins the versions that were current when it was applied. */
export interface ServiceMeaning {
  readonly features: readonly ServiceFeature[];
  /** The values that a request must contain; absent if there are none. */
  readonly request?: readonly RequestColumn[];
}

/** A resolved consumer. */
export interface ConsumerMeaning {
  /** GraphQL documents, each with one operation. */
  readonly operations: readonly string[];
}

/** A resolved definition of any kind. */
export type Meaning =
  | EntityMeaning
  | SourceMeaning
  | ViewMeaning
  | OnDemandMeaning
  | TransformerMeaning
  | ServiceMeaning
  | ConsumerMeaning;

/** One version of a definition in the registry. */
export interface DefinitionRecord<D extends Definition = Definition, M extends Meaning = Meaning> {
  readonly kind: DefinitionKind;
  readonly name: string;
  readonly version: number;
  readonly fingerprint: string;
  readonly definition: D;
  readonly meaning: M;
  /** False if the version is retired: the registry keeps it, and FStore neither serves nor computes it. */
  readonly active: boolean;
}
