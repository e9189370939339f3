/**
 * What a generated field of the schema reads. Resolvers and the fast lane are two ways to the same answer; a field that names no source is
 * answered by its resolver alone.
 */
import type { GraphQLField } from 'graphql';
import type { EntityKey } from '../../definition/entity-key.js';
import type { ViewVersion } from '../../definition/view-version.js';
import type { FStoreError } from '../../errors.js';
import type { RequestData, VectorColumn, VectorPlan } from '../../retrieval/vector-plan.js';

/** Arguments in the forms that resolvers get them. */
export type Arguments = Readonly<Record<string, unknown>>;

/** What is asked of a service for one vector: its join keys by argument, its entities by view, and its request data. */
export interface VectorInputs {
  readonly keys: Readonly<Record<string, string>>;
  readonly byView: readonly EntityKey[];
  readonly request: RequestData;
}

/** Of fields of the query type. Readers of arguments throw what resolvers throw. */
export type RootSource =
  | {
      readonly kind: 'entities';
      readonly isList: boolean;
      readonly keysOf: (args: Arguments, maxKeys: number) => EntityKey[];
    }
  | {
      readonly kind: 'representations';
      readonly resolve: (
        args: Arguments,
        maxKeys: number,
      ) => readonly ({ readonly typeName: string; readonly key: EntityKey } | FStoreError)[];
    }
  | {
      readonly kind: 'vectors';
      readonly isList: boolean;
      readonly plan: VectorPlan;
      readonly inputsOf: (args: Arguments, maxKeys: number) => VectorInputs[];
    };

export type FieldSource =
  | RootSource
  /** Of entities. */
  | { readonly kind: 'key'; readonly index: number }
  | { readonly kind: 'view'; readonly view: ViewVersion }
  /** Of views. */
  | { readonly kind: 'feature'; readonly index: number }
  /** Of views, and of the entries of `statuses`. */
  | { readonly kind: 'status' | 'eventTime' | 'featureName' }
  /** Of vectors. */
  | { readonly kind: 'joinKey'; readonly argument: string }
  | { readonly kind: 'column'; readonly column: VectorColumn }
  | { readonly kind: 'statuses' }
  | { readonly kind: 'constant'; readonly value: string | number };

/** The extensions of a field with a source. */
export function sourced(source: FieldSource): { readonly source: FieldSource } {
  return { source };
}

/** The source of a field, if it has one. */
export function sourceOf(field: GraphQLField<unknown, unknown>): FieldSource | undefined {
  return field.extensions.source as FieldSource | undefined;
}
