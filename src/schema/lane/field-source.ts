/**
 * What a generated field of the schema reads. Resolvers and the fast lane are two implementations of the same answer. A
 * field without a source is answered by its resolver alone.
 */
import type { GraphQLField } from 'graphql';
import type { EntityKey } from '../../definition/entity-key.js';
import type { ViewVersion } from '../../definition/view-version.js';
import type { FStoreError } from '../../errors.js';
import type { RequestData, VectorColumn, VectorPlan } from '../../retrieval/vector-plan.js';
import type { ExpressionWork } from '../../transformation/expression-budget.js';
import type { KeyAllowance } from '../key-allowance.js';

/** Coerced arguments, as resolvers receive them. */
export type Arguments = Readonly<Record<string, unknown>>;

/** The inputs of one vector of a service: its join keys by argument, its entities by view, and its request data. */
export interface VectorInputs {
  readonly keys: Readonly<Record<string, string>>;
  readonly byView: readonly EntityKey[];
  readonly request: RequestData;
  /** The work of all expressions of the operation. */
  readonly work: ExpressionWork;
}

/** The source of a field of the query type. Its functions throw the errors that resolvers throw. */
export type RootSource =
  | {
      readonly kind: 'entities';
      readonly isList: boolean;
      readonly keysOf: (args: Arguments, allowance: KeyAllowance) => EntityKey[];
    }
  | {
      readonly kind: 'representations';
      readonly resolve: (
        args: Arguments,
        allowance: KeyAllowance,
      ) => readonly ({ readonly typeName: string; readonly key: EntityKey } | FStoreError)[];
    }
  | {
      readonly kind: 'vectors';
      readonly isList: boolean;
      readonly plan: VectorPlan;
      readonly inputsOf: (args: Arguments, allowance: KeyAllowance) => VectorInputs[];
    };

/** The source of a generated field. */
export type FieldSource =
  | RootSource
  /** Fields of entities. */
  | { readonly kind: 'key'; readonly index: number }
  | { readonly kind: 'view'; readonly view: ViewVersion }
  /** Fields of views. */
  | { readonly kind: 'feature'; readonly index: number }
  /** Fields of views and of the entries of `statuses`. */
  | { readonly kind: 'status' | 'eventTime' | 'featureName' }
  /** Fields of vectors. */
  | { readonly kind: 'joinKey'; readonly argument: string }
  | { readonly kind: 'column'; readonly column: VectorColumn }
  | { readonly kind: 'statuses' }
  | { readonly kind: 'constant'; readonly value: string | number };

/** Returns the extensions of a field with a source. */
export function sourced(source: FieldSource): { readonly source: FieldSource } {
  return { source };
}

/** Returns the source of a field, or undefined if it has none. */
export function sourceOf(field: GraphQLField<unknown, unknown>): FieldSource | undefined {
  return field.extensions.source as FieldSource | undefined;
}
