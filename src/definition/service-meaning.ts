/**
 * Resolves on-demand views, transformers and services, and pins everything that they read to a version.
 *
 * Boundary: pure. A resolved service holds everything needed to compute its vector from rows and request data:
 * expressions with their inputs, and transformers with their parameters. So an online vector and a training row come
 * from the same record.
 */
import { FStoreError } from '../errors.js';
import type { ComputationRules } from './computation.js';
import type { FeatureService, OnDemandFeatureView, Transformer } from './definition.js';
import type {
  ComputedFeature,
  FeaturePin,
  OnDemandMeaning,
  RequestColumn,
  ServiceFeature,
  ServiceMeaning,
  TransformerMeaning,
  ViewMeaning,
} from './definition-record.js';
import { camelCase } from './graphql-name.js';
import type { Finding, Resolved } from './meaning.js';
import type { ValueType } from './value-type.js';

/** A version of a view that a service may pin. */
export interface PinnableView {
  readonly name: string;
  readonly version: number;
  readonly current: boolean;
  readonly meaning: ViewMeaning;
  /** The GraphQL name of each feature, by feature name. */
  readonly fields: ReadonlyMap<string, string>;
}

/** The current version of an on-demand view or transformer. */
export interface Pinnable<M> {
  readonly name: string;
  readonly version: number;
  readonly meaning: M;
}

/** Everything that a service may refer to. */
export interface Pinnables {
  readonly views: readonly PinnableView[];
  readonly onDemand: readonly Pinnable<OnDemandMeaning>[];
  readonly transformers: readonly Pinnable<TransformerMeaning>[];
}

const REQUEST = 'request';

/** Runs a check of expressions or transformers. An FStoreError becomes an issue at `path`. */
function checked<T>(findings: Finding[], path: Finding['path'], check: () => T): T | null {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof FStoreError)) throw error;
    findings.push({ code: 'DEFINITION_INVALID', message: error.message, path });
    return null;
  }
}

/** Resolves an on-demand view: each expression with its inputs. */
export function resolveOnDemandMeaning(
  definition: OnDemandFeatureView,
  views: readonly PinnableView[],
  rules: ComputationRules,
): Resolved<OnDemandMeaning> {
  const findings: Finding[] = [];
  const request = Object.entries(definition.request ?? {}).map(([name, type]) => ({ name, type }));
  const names = new Set<string>();
  const features = definition.features.flatMap(({ name, type, expression }, index): ComputedFeature[] => {
    const path = ['features', index, 'expression'];
    if (names.has(name)) {
      const message = `on-demand view ${definition.name} has the feature ${name} twice`;
      findings.push({ code: 'DEFINITION_INVALID', message, path: ['features', index, 'name'] });
    }
    names.add(name);
    const read = checked(findings, path, () => rules.inputsOf(expression));
    const inputs = (read ?? []).flatMap((input): ComputedFeature['inputs'][number][] => {
      const [owner = '', feature = ''] = input.split('.');
      if (owner === REQUEST) {
        const column = request.find((one) => one.name === feature);
        if (column) return [{ name: input, type: column.type, pin: null }];
        const known = request.map((one) => `request.${one.name}`).join(', ') || 'none';
        findings.push({
          code: 'REFERENCE_UNKNOWN',
          message: `${input} is not declared (request data: ${known})`,
          path,
        });
        return [];
      }
      const view = views.find((one) => one.name === owner && one.current);
      const type = view?.meaning.features.find((one) => one.name === feature)?.type;
      if (view && type) return [{ name: input, type, pin: { view: view.name, version: view.version, feature } }];
      const message = view
        ? `view ${owner} has no feature ${feature}`
        : `${input} is no feature: there is no view ${owner}`;
      findings.push({ code: 'REFERENCE_UNKNOWN', message: `${message}; write view.feature or request.name`, path });
      return [];
    });
    if (read && inputs.length === read.length) {
      checked(findings, path, () => rules.checkExpression(expression, inputs, type));
    }
    return [{ name, type, expression, inputs }];
  });
  return { meaning: findings.length ? null : { request, features }, findings };
}

/** Resolves a transformer: the feature that it transforms, and its parameters if it is fitted. */
export function resolveTransformerMeaning(
  definition: Transformer,
  pinnables: Omit<Pinnables, 'transformers'>,
  rules: ComputationRules,
): Resolved<TransformerMeaning> {
  const findings: Finding[] = [];
  const [viewName = '', feature = ''] = definition.feature.split(':');
  const source = findFeature(viewName, feature, pinnables);
  if (!source) {
    const message = `transformer ${definition.name} is applied to ${definition.feature}, which is no feature of a view`;
    return { meaning: null, findings: [{ code: 'REFERENCE_UNKNOWN', message, path: ['feature'] }] };
  }
  const { transform, parameters = null } = definition;
  const type = checked(findings, ['transform'], () => rules.transformedType(transform, source.type));
  if (parameters && parameters.type !== transform.type) {
    const message = `the parameters are those of ${parameters.type}, the transformer is ${transform.type}`;
    findings.push({ code: 'DEFINITION_INVALID', message, path: ['parameters'] });
  }
  const meaning = type && { source: source.source, input: source.type, type, options: transform, parameters };
  return { meaning: findings.length ? null : meaning, findings };
}

function findFeature(
  owner: string,
  feature: string,
  { views, onDemand }: Omit<Pinnables, 'transformers'>,
): { type: ValueType; source: TransformerMeaning['source'] } | null {
  const [name = '', version] = owner.split('@');
  const view = views.find((one) => one.name === name && (version ? one.version === Number(version) : one.current));
  const type = view?.meaning.features.find((one) => one.name === feature)?.type;
  if (view && type) return { type, source: { view: view.name, version: view.version, feature } };
  const computed = onDemand.find((one) => one.name === name)?.meaning.features.find((one) => one.name === feature);
  return computed ? { type: computed.type, source: computed } : null;
}

interface Chosen {
  /** The names of the view and the feature. Together they make a field name if the plain one is not unique. */
  readonly owner: string;
  readonly field: string;
  readonly renamed: boolean;
  readonly index: number;
  readonly feature: ServiceFeature extends infer F ? (F extends ServiceFeature ? Omit<F, 'field'> : never) : never;
}

/** Resolves a service: pins every reference to a version, and gives every feature its field in the answer. */
export function resolveServiceMeaning(service: FeatureService, pinnables: Pinnables): Resolved<ServiceMeaning> {
  const findings: Finding[] = [];
  const request = new Map<string, RequestColumn>();
  const chosen: Chosen[] = [];
  const asks = (meaning: OnDemandMeaning, path: Finding['path']): void => {
    for (const column of meaning.request) {
      const known = request.get(column.name);
      if (known && known.type !== column.type) {
        const message = `request data ${column.name} is ${known.type} for one view and ${column.type} for another`;
        findings.push({ code: 'DEFINITION_INVALID', message, path });
      }
      request.set(column.name, column);
    }
  };
  for (const [index, item] of service.features.entries()) {
    const { feature: reference, as } = typeof item === 'string' ? { feature: item, as: undefined } : item;
    const [owner = '', feature] = reference.split(':');
    const [name = '', version] = owner.split('@');
    const path = ['features', index];
    const unknown = (message: string) => findings.push({ code: 'REFERENCE_UNKNOWN', message, path });
    const renamed = as !== undefined;
    if (as && !feature && !pinnables.transformers.some((one) => one.name === name)) {
      const message = `\`as\` renames one feature, but ${reference} names a whole view`;
      findings.push({ code: 'DEFINITION_INVALID', message, path });
      continue;
    }
    const view = pinnables.views.find(
      (one) => one.name === name && (version ? one.version === Number(version) : one.current),
    );
    const onDemand = pinnables.onDemand.find((one) => one.name === name);
    const transformer = pinnables.transformers.find((one) => one.name === name);
    if (view) {
      if (feature && !view.fields.has(feature)) unknown(`view ${owner} has no feature ${feature}`);
      else {
        for (const one of feature ? [feature] : view.fields.keys()) {
          const field = as ?? view.fields.get(one) ?? camelCase(one);
          chosen.push({ owner: `${view.name}_${one}`, field, renamed, index, feature: pinOf(view, one) });
        }
      }
    } else if (onDemand && !version) {
      const features = onDemand.meaning.features.filter((one) => !feature || one.name === feature);
      if (features.length === 0) unknown(`on-demand view ${name} has no feature ${feature}`);
      asks(onDemand.meaning, path);
      for (const computed of features) {
        const origin = `${onDemand.name}@${onDemand.version}`;
        const field = as ?? camelCase(computed.name);
        chosen.push({
          owner: `${name}_${computed.name}`,
          field,
          renamed,
          index,
          feature: { onDemand: origin, computed },
        });
      }
    } else if (transformer && !version && !feature) {
      const { source } = transformer.meaning;
      const origin = `${transformer.name}@${transformer.version}`;
      if ('expression' in source) {
        for (const one of pinnables.onDemand) if (one.meaning.features.includes(source)) asks(one.meaning, path);
      }
      const field = as ?? camelCase(name);
      chosen.push({
        owner: name,
        field,
        renamed,
        index,
        feature: { transformer: origin, transformed: transformer.meaning },
      });
    } else {
      unknown(`service ${service.name} names the view ${owner}, which is not declared or not active`);
    }
  }
  const counts = new Map<string, number>();
  for (const { field } of chosen) counts.set(field, (counts.get(field) ?? 0) + 1);
  const taken = new Set<string>();
  const features = chosen.map(({ owner, field: plain, renamed, index, feature }): ServiceFeature => {
    const field = renamed || counts.get(plain) === 1 ? plain : camelCase(owner);
    if (taken.has(field)) {
      const message = `service ${service.name} has two features under the field ${field}; rename one with \`as\``;
      findings.push({ code: 'NAME_COLLISION', message, path: ['features', index] });
    }
    taken.add(field);
    return { ...feature, field };
  });
  const meaning = { features, ...(request.size > 0 ? { request: [...request.values()] } : {}) };
  return { meaning: findings.length ? null : meaning, findings };
}

function pinOf({ name, version }: PinnableView, feature: string): FeaturePin {
  return { view: name, version, feature };
}

/** Returns the features of views that a feature of a service is computed from. */
export function pinsOf(feature: ServiceFeature): readonly FeaturePin[] {
  if ('view' in feature) return [feature];
  const source = 'computed' in feature ? feature.computed : feature.transformed.source;
  return 'view' in source ? [source] : source.inputs.flatMap(({ pin }) => (pin ? [pin] : []));
}

/** Returns the type of a service's feature; `typeOf` returns the type of a view's feature. */
export function serviceFeatureType(feature: ServiceFeature, typeOf: (pin: FeaturePin) => ValueType): ValueType {
  if ('view' in feature) return typeOf(feature);
  return 'computed' in feature ? feature.computed.type : feature.transformed.type;
}
