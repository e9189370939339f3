/**
 * What the registry keeps of a definition, and what its meaning is.
 *
 * Invariants
 * 1. `meaning` and with it `fingerprint` of a (kind, name, version) never change; `definition` may change in what has no
 *    meaning: description, owner, tags, TTL and GraphQL names.
 * 2. Equal meaning gives an equal fingerprint, whatever the order of keys.
 */
import type { AggregateFunction } from './aggregate-function.js';
import type { Definition, DefinitionKind } from './definition.js';
import type { FittedParameters, TransformerOptions } from './transformer-options.js';
import type { KeyType, ValueType } from './value-type.js';

export interface EntityMeaning {
  readonly joinKeys: readonly { readonly name: string; readonly type: KeyType }[];
}

export interface SourceMeaning {
  readonly schema: Readonly<Record<string, ValueType>>;
  readonly timestamp: string;
  readonly topic: string | null;
  /** Messages of the topic are Avro of this schema; null: of the one that they name. Absent: they are JSON. */
  readonly avro?: { readonly schema: Readonly<Record<string, unknown>> | null };
  /** Absent if it is not read in batches. */
  readonly batch?: BatchMeaning;
}

/** Where rows are read from: a file, a SELECT of the offline store, or one of another database. */
export type BatchMeaning =
  | { readonly format: 'csv' | 'ndjson' | 'parquet' | 'arrow' | 'orc'; readonly path: string }
  | { readonly query: string; readonly connection?: string };

/** A view with all that its values depend on (but for what a query reads): a later change of its entity or source does not reach it. */
export interface ViewMeaning {
  readonly entity: string;
  readonly source: string;
  readonly timestamp: string;
  /** `column` is one of the source, or of the result of a query. */
  readonly keys: readonly { readonly name: string; readonly type: KeyType; readonly column: string }[];
  /** `column` is null for a feature that is no column of the source. */
  readonly features: readonly { readonly name: string; readonly type: ValueType; readonly column: string | null }[];
  readonly aggregation?: AggregationMeaning;
  readonly sql?: SqlMeaning;
}

/** A query over the events of the source. What it reads is read as it is declared at the time. */
export interface SqlMeaning {
  readonly query: string;
  /** Sources that are read as tables. */
  readonly with: readonly string[];
}

/** What a view aggregates: each aggregate is kept once, and shown over one or more windows. */
export interface AggregationMeaning {
  readonly aggregates: readonly {
    readonly function: AggregateFunction;
    /** Null: events are counted, whatever their columns hold. */
    readonly column: string | null;
    readonly type: ValueType | null;
    /** How many values `lastN` keeps. */
    readonly n: number | null;
  }[];
  /** One entry for each feature: index of its aggregate; length and hop of its window in milliseconds. */
  readonly features: readonly { readonly aggregate: number; readonly length: number; readonly hop: number }[];
}

/** A feature of a view's version. */
export interface FeaturePin {
  readonly view: string;
  readonly version: number;
  readonly feature: string;
}

/** A value that comes with a request. */
export interface RequestColumn {
  readonly name: string;
  readonly type: ValueType;
}

/** A feature that an expression computes from others and from request data. */
export interface ComputedFeature {
  readonly name: string;
  readonly type: ValueType;
  readonly expression: string;
  /** What it reads; `pin` is null for request data. */
  readonly inputs: readonly { readonly name: string; readonly type: ValueType; readonly pin: FeaturePin | null }[];
}

export interface OnDemandMeaning {
  readonly request: readonly RequestColumn[];
  readonly features: readonly ComputedFeature[];
}

export interface TransformerMeaning {
  readonly source: FeaturePin | ComputedFeature;
  /** Type of what it is applied to. */
  readonly input: ValueType;
  readonly type: ValueType;
  readonly options: TransformerOptions;
  /** Null until it was fitted. */
  readonly parameters: FittedParameters | null;
}

/** A feature of a service: one of a view, one that is computed, or one that is transformed. Origins are `name@version`. */
export type ServiceFeature = { readonly field: string } & (
  | FeaturePin
  | { readonly onDemand: string; readonly computed: ComputedFeature }
  | { readonly transformer: string; readonly transformed: TransformerMeaning }
);

/** A service pins the versions of all that it reads that were current when it was applied. */
export interface ServiceMeaning {
  readonly features: readonly ServiceFeature[];
  /** What a request has to bring along; absent if nothing. */
  readonly request?: readonly RequestColumn[];
}

export interface ConsumerMeaning {
  /** Documents, each with one operation. */
  readonly operations: readonly string[];
}

export type Meaning =
  | EntityMeaning
  | SourceMeaning
  | ViewMeaning
  | OnDemandMeaning
  | TransformerMeaning
  | ServiceMeaning
  | ConsumerMeaning;

export interface DefinitionRecord<D extends Definition = Definition, M extends Meaning = Meaning> {
  readonly kind: DefinitionKind;
  readonly name: string;
  readonly version: number;
  readonly fingerprint: string;
  readonly definition: D;
  readonly meaning: M;
  /** False once the version was retired: it is kept for the record, and neither served nor computed. */
  readonly active: boolean;
}
