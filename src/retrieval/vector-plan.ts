/**
 * Computes the vector of a feature service from one row of each view that it reads and from request data.
 *
 * Invariant: online reads and training sets compute vectors by this plan alone.
 */
import type { ComputedFeature, FeaturePin, RequestColumn, ServiceFeature } from '../definition/definition-record.js';
import { pinsOf, serviceFeatureType } from '../definition/service-meaning.js';
import type { ServiceType } from '../definition/service-type.js';
import type { FittedParameters, TransformerOptions } from '../definition/transformer-options.js';
import type { FeatureValue, KeyType, ValueType } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import { compileExpression } from '../transformation/expression.js';
import type { ExpressionWork } from '../transformation/expression-budget.js';
import { createFitter } from '../transformation/fitter.js';
import { createTransformer } from '../transformation/transformer.js';
import { needsFitting } from '../transformation/transformer-output.js';
import { expressionWatch } from './expression-watch.js';
import { type FeatureRow, type FeatureStatus, featureStatus } from './feature-row.js';

/** Values of request data, by name. An absent value counts as null. */
export type RequestData = Readonly<Record<string, FeatureValue>>;

/** One feature of a vector: its type, its origin, and how to compute it. */
export interface VectorColumn {
  readonly field: string;
  readonly type: ValueType;
  /** Where the value comes from: `view@version:feature`, `onDemandView:feature` or `transformer@version`. */
  readonly origin: string;
  readonly description: string | undefined;
  /** Changes when the field's definition changes while its name stays the same. */
  readonly stamp: string;
  /**
   * Returns the value, given one row for each view of the plan. `work` is that of the operation, or of the row of
   * a training set.
   */
  value(rows: readonly FeatureRow[], request: RequestData, work?: ExpressionWork): FeatureValue;
  /** Returns the value before its transformation, or the value itself if there is no transformation. */
  untransformed(rows: readonly FeatureRow[], request: RequestData, work?: ExpressionWork): FeatureValue;
  /** The feature of a view that this column copies; null if the column is computed. */
  readonly pinned: Pinned | null;
  /** The transformation of the value; null if there is none. */
  readonly transformation: Transformation | null;
  /**
   * Returns why the column has its value, and the event time of the oldest row that it was computed from (null without
   * a row).
   */
  status(
    rows: readonly FeatureRow[],
    request: RequestData,
    work?: ExpressionWork,
  ): { status: FeatureStatus; eventTime: number | null };
}

/** The transformer that a service applies to a feature. */
export interface Transformation {
  /** `name@version` of the transformer. */
  readonly origin: string;
  readonly input: ValueType;
  readonly options: TransformerOptions;
  /** Null until the transformer has been fitted. */
  readonly parameters: FittedParameters | null;
}

/** The views that a service reads and the columns that it returns. */
export interface VectorPlan {
  readonly service: ServiceType;
  readonly views: readonly ViewVersion[];
  /** The join keys of all views, without duplicates. */
  readonly joins: readonly { readonly name: string; readonly type: KeyType }[];
  readonly request: readonly RequestColumn[];
  readonly columns: readonly VectorColumn[];
}

/** A feature of a view: the index of the view in the plan, and of the feature in the view. */
export interface Pinned {
  readonly viewIndex: number;
  readonly featureIndex: number;
}

/**
 * Plans the vector of a service. `views` holds its pinned views by `name@version`. Throws SCHEMA_INVALID if one is
 * missing.
 */
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
  const view = 'onDemand' in feature ? feature.onDemand : feature.transformer;
  const untransformed = sourceValue(source, place, view);
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
    status: (rows, request, work) => {
      const eventTime = oldest(pins.map(({ viewIndex }) => rows[viewIndex]?.eventTime ?? null));
      if (!value) return { status: 'UNAVAILABLE', eventTime };
      if (value(rows, request, work) !== null) return { status: 'PRESENT', eventTime };
      const missing = pins.find(({ viewIndex }) => rows[viewIndex]?.status !== 'PRESENT');
      return { status: missing ? rows[missing.viewIndex]!.status : 'NULL_VALUE', eventTime };
    },
  };
}

function oldest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length > 0 ? Math.min(...known) : null;
}

function computedValue(
  computed: ComputedFeature,
  place: (pin: FeaturePin) => Pinned,
  view: string,
): VectorColumn['value'] {
  const expression = compileExpression(computed.expression, computed.inputs, computed.type, () =>
    expressionWatch.note(view, computed.name),
  );
  const inputs = computed.inputs.map(({ name, pin }) => ({
    name: name.slice(name.indexOf('.') + 1),
    at: pin && place(pin),
  }));
  return (rows, request, work) =>
    expression.evaluate(
      inputs.map(({ name, at }) =>
        at ? (rows[at.viewIndex]?.values?.[at.featureIndex] ?? null) : (request[name] ?? null),
      ),
      work,
    );
}

function transformationOf({
  transformer: origin,
  transformed: { input, options, parameters },
}: Extract<ServiceFeature, { transformer: string }>): Transformation {
  const known = parameters ?? (needsFitting(options) ? null : createFitter(options, input).fit());
  return { origin, input, options, parameters: known };
}

/** Returns null for a transformer that needs fitting and has not been fitted. */
function transformedValue(
  { input, options, parameters }: Transformation,
  read: VectorColumn['value'],
): VectorColumn['value'] | null {
  if (!parameters) return null;
  const { apply } = createTransformer(options, parameters, input);
  return (rows, request, work) => apply(read(rows, request, work))[0] ?? null;
}

/** Returns a function that reads a feature, or computes one. `view` names what computes it, for the log. */
function sourceValue(
  source: FeaturePin | ComputedFeature,
  place: (pin: FeaturePin) => Pinned,
  view: string,
): VectorColumn['value'] {
  if ('expression' in source) return computedValue(source, place, view);
  const { viewIndex, featureIndex } = place(source);
  return (rows) => rows[viewIndex]?.values?.[featureIndex] ?? null;
}
