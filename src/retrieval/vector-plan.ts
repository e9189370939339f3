/**
 * How the vector of a feature service is computed: from one row of each view that it reads, and from request data.
 *
 * Invariant: online and in training sets a vector is computed by this plan and by nothing else.
 */
import type { ComputedFeature, FeaturePin, RequestColumn, ServiceFeature } from '../definition/definition-record.js';
import { pinsOf, serviceFeatureType } from '../definition/service-meaning.js';
import type { ServiceType } from '../definition/service-type.js';
import type { FittedParameters, TransformerOptions } from '../definition/transformer-options.js';
import type { FeatureValue, KeyType, ValueType } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import { compileExpression } from '../transformation/expression.js';
import { createFitter } from '../transformation/fitter.js';
import { createTransformer } from '../transformation/transformer.js';
import { needsFitting } from '../transformation/transformer-output.js';
import { type FeatureRow, type FeatureStatus, featureStatus } from './feature-row.js';

/** Values of request data, by name; what is absent is null. */
export type RequestData = Readonly<Record<string, FeatureValue>>;

export interface VectorColumn {
  readonly field: string;
  readonly type: ValueType;
  /** Where it comes from, in words. */
  readonly origin: string;
  readonly description: string | undefined;
  /** Changes when the same field begins to mean something else. */
  readonly stamp: string;
  /** Its value from one row for each view of the plan. */
  value(rows: readonly FeatureRow[], request: RequestData): FeatureValue;
  /** The same before its transformation; where there is none, its value. */
  untransformed(rows: readonly FeatureRow[], request: RequestData): FeatureValue;
  /** The feature of a view of the plan that it is; null if it is computed. */
  readonly pinned: Pinned | null;
  /** How it is transformed; null if it is not. */
  readonly transformation: Transformation | null;
  /** Why it has that value, and the event time of the oldest row that it is made of; null without a row. */
  status(rows: readonly FeatureRow[], request: RequestData): { status: FeatureStatus; eventTime: number | null };
}

/** A transformer of a service's feature. */
export interface Transformation {
  /** `name@version` of the transformer. */
  readonly origin: string;
  readonly input: ValueType;
  readonly options: TransformerOptions;
  /** Null while it has to be fitted. */
  readonly parameters: FittedParameters | null;
}

export interface VectorPlan {
  readonly service: ServiceType;
  readonly views: readonly ViewVersion[];
  /** The join keys of all views, each once. */
  readonly joins: readonly { readonly name: string; readonly type: KeyType }[];
  readonly request: readonly RequestColumn[];
  readonly columns: readonly VectorColumn[];
}

/** A feature of a view, by their places in the plan and in the view. */
export interface Pinned {
  readonly viewIndex: number;
  readonly featureIndex: number;
}

/** Plans the vector of a service whose pinned views are given by `name@version`. Throws SCHEMA_INVALID if one is missing. */
export function createVectorPlan(service: ServiceType, views: ReadonlyMap<string, ViewVersion>): VectorPlan {
  const pinned: ViewVersion[] = [];
  const place = ({ view: name, version, feature }: FeaturePin): Pinned => {
    const view = views.get(`${name}@${version}`);
    if (!view) {
      const message = `service ${service.name} reads ${name}@${version}, which is not active`;
      throw new FStoreError('SCHEMA_INVALID', message);
    }
    if (!pinned.includes(view)) pinned.push(view);
    return { viewIndex: pinned.indexOf(view), featureIndex: view.features.findIndex((one) => one.name === feature) };
  };
  const typeOf = (pin: FeaturePin): ValueType => {
    const { viewIndex, featureIndex } = place(pin);
    return pinned[viewIndex]!.features[featureIndex]!.type;
  };
  const columns = service.features.map((feature) => planColumn(feature, place, typeOf, pinned));
  const joins = new Map<string, KeyType>();
  for (const view of pinned) for (const { name, type } of view.keys) joins.set(name, type);
  return {
    service,
    views: pinned,
    joins: [...joins].map(([name, type]) => ({ name, type })),
    request: service.request,
    columns,
  };
}

function planColumn(
  feature: ServiceFeature,
  place: (pin: FeaturePin) => Pinned,
  typeOf: (pin: FeaturePin) => ValueType,
  pinned: readonly ViewVersion[],
): VectorColumn {
  const pins = pinsOf(feature).map(place);
  const shared = { field: feature.field, type: serviceFeatureType(feature, typeOf) };
  const stampOf = (): string => pins.map(({ viewIndex }) => pinned[viewIndex]!.fingerprint).join(':');
  if ('view' in feature) {
    const { viewIndex, featureIndex } = pins[0]!;
    const { description, name } = pinned[viewIndex]!.features[featureIndex]!;
    const read: VectorColumn['value'] = (rows) => rows[viewIndex]?.values?.[featureIndex] ?? null;
    return {
      ...shared,
      origin: `${feature.view}@${feature.version}:${feature.feature}`,
      description,
      stamp: `${stampOf()}:${name}`,
      value: read,
      untransformed: read,
      pinned: pins[0]!,
      transformation: null,
      status: (rows) => {
        const row = rows[viewIndex]!;
        return { status: featureStatus(row, featureIndex), eventTime: row.eventTime };
      },
    };
  }
  const source = 'computed' in feature ? feature.computed : feature.transformed.source;
  const untransformed = sourceValue(source, place);
  const transformation = 'transformed' in feature ? transformationOf(feature) : null;
  const value = transformation ? transformedValue(transformation, untransformed) : untransformed;
  const origin = 'computed' in feature ? `${feature.onDemand}:${feature.computed.name}` : feature.transformer;
  return {
    ...shared,
    origin,
    description: undefined,
    stamp: `${stampOf()}:${origin}`,
    value: value ?? (() => null),
    untransformed,
    pinned: null,
    transformation,
    status: (rows, request) => {
      const eventTime = oldest(pins.map(({ viewIndex }) => rows[viewIndex]?.eventTime ?? null));
      if (!value) return { status: 'UNAVAILABLE', eventTime };
      if (value(rows, request) !== null) return { status: 'PRESENT', eventTime };
      const missing = pins.find(({ viewIndex }) => rows[viewIndex]?.status !== 'PRESENT');
      return { status: missing ? rows[missing.viewIndex]!.status : 'NULL_VALUE', eventTime };
    },
  };
}

function oldest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length > 0 ? Math.min(...known) : null;
}

function computedValue(computed: ComputedFeature, place: (pin: FeaturePin) => Pinned): VectorColumn['value'] {
  const expression = compileExpression(computed.expression, computed.inputs, computed.type);
  const inputs = computed.inputs.map(({ name, pin }) => ({
    name: name.slice(name.indexOf('.') + 1),
    at: pin && place(pin),
  }));
  return (rows, request) =>
    expression.evaluate(
      inputs.map(({ name, at }) =>
        at ? (rows[at.viewIndex]?.values?.[at.featureIndex] ?? null) : (request[name] ?? null),
      ),
    );
}

function transformationOf({
  transformer: origin,
  transformed: { input, options, parameters },
}: Extract<ServiceFeature, { transformer: string }>): Transformation {
  const known = parameters ?? (needsFitting(options) ? null : createFitter(options, input).fit());
  return { origin, input, options, parameters: known };
}

/** Null for a transformer that has to be fitted and was not. */
function transformedValue(
  { input, options, parameters }: Transformation,
  read: VectorColumn['value'],
): VectorColumn['value'] | null {
  if (!parameters) return null;
  const { apply } = createTransformer(options, parameters, input);
  return (rows, request) => apply(read(rows, request))[0] ?? null;
}

/** Reads a feature of a view, or computes one. */
function sourceValue(source: FeaturePin | ComputedFeature, place: (pin: FeaturePin) => Pinned): VectorColumn['value'] {
  if ('expression' in source) return computedValue(source, place);
  const { viewIndex, featureIndex } = place(source);
  return (rows) => rows[viewIndex]?.values?.[featureIndex] ?? null;
}
