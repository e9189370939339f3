/** Builders of definitions in TypeScript. Each returns its argument as a definition; the compiler checks names. */
import type {
  Consumer,
  Entity,
  FeatureService,
  FeatureView,
  OnDemandFeatureView,
  Source,
  Transformer,
} from './definition.js';

type Declared<T extends { kind: string }> = Omit<T, 'kind'>;

/** Declares an entity. */
export function defineEntity<const T extends Declared<Entity>>(entity: T): T & { readonly kind: 'entity' } {
  return { kind: 'entity', ...entity };
}

/** Declares a source. */
export function defineSource<const T extends Declared<Source>>(source: T): T & { readonly kind: 'source' } {
  return { kind: 'source', ...source };
}

type ColumnOf<S extends Declared<Source>> = keyof S['schema'] & string;
type FeatureOf<S extends Declared<Source>> =
  | ColumnOf<S>
  | (Exclude<NonNullable<FeatureView['features']>[number], string> & { readonly column?: ColumnOf<S> | undefined });
type AggregationOf<S extends Declared<Source>> = Omit<NonNullable<FeatureView['aggregations']>[number], 'column'> & {
  readonly column?: ColumnOf<S> | undefined;
};

/** Declares a feature view on a declared entity and source. It may read only columns of that source. */
export function defineFeatureView<const E extends Declared<Entity>, const S extends Declared<Source>>(
  view: Omit<FeatureView, 'kind' | 'entity' | 'source' | 'features' | 'aggregations'> & {
    readonly entity: E;
    readonly source: S;
    readonly features?: readonly FeatureOf<S>[];
    readonly aggregations?: readonly AggregationOf<S>[];
  },
): FeatureView {
  const { features, aggregations, ...rest } = view;
  return {
    ...rest,
    kind: 'featureView',
    entity: view.entity.name,
    source: view.source.name,
    ...(features ? { features: [...features] as NonNullable<FeatureView['features']> } : {}),
    ...(aggregations ? { aggregations: [...aggregations] } : {}),
  };
}

/** Declares features that are computed at request time. */
export function defineOnDemandFeatureView(view: Omit<OnDemandFeatureView, 'kind'>): OnDemandFeatureView {
  return { kind: 'onDemandFeatureView', ...view };
}

/** Declares a transformer of one feature. Fitting it on a training set sets its parameters. */
export function defineTransformer(transformer: Omit<Transformer, 'kind' | 'parameters' | 'fittedOn'>): Transformer {
  return { kind: 'transformer', ...transformer };
}

/** Declares a feature service over declared views (all of their features) or references such as `view:feature`. */
export function defineFeatureService(
  service: Omit<FeatureService, 'kind' | 'features'> & {
    readonly features: readonly (
      | FeatureView
      | OnDemandFeatureView
      | Transformer
      | FeatureService['features'][number]
    )[];
  },
): FeatureService {
  return {
    ...service,
    kind: 'featureService',
    features: service.features.map((item) => (typeof item === 'object' && 'kind' in item ? item.name : item)),
  };
}

/** Declares a client program and the operations that it sends. */
export function defineConsumer(consumer: Omit<Consumer, 'kind'>): Consumer {
  return { kind: 'consumer', ...consumer };
}
