/** Finds the feature view or feature service that a name on the command line refers to. */
import { camelCase } from '../definition/graphql-name.js';
import { updatedField } from '../definition/schema-names.js';
import { FStoreError } from '../errors.js';
import { UsageError } from './failure.js';
import { CatalogDocument, type CatalogQuery } from './generated/operations.js';
import type { GraphqlClient } from './graphql-client.js';
import { loadServedFields, namedType, type ServedField } from './served-fields.js';

type View = CatalogQuery['featureViews'][number];
type Service = CatalogQuery['featureServices'][number];

/** A feature view, with the GraphQL fields that read and watch it. */
export interface ViewTarget {
  readonly kind: 'view';
  readonly view: View;
  /** The key fields of the entity type, in the order of the join keys. */
  readonly keyFields: readonly string[];
  readonly listField: ServedField;
  readonly updatedField: string;
}

/** A feature service, with the GraphQL fields that read and watch it. */
export interface ServiceTarget {
  readonly kind: 'service';
  readonly service: Service;
  readonly typeName: string;
  /** The join keys as arguments, such as `userId`. */
  readonly keys: readonly string[];
  readonly field: ServedField;
  /** The features of the vector, in order. */
  readonly features: readonly string[];
  readonly updatedField: string;
}

function internal(what: string): FStoreError {
  return new FStoreError('INTERNAL', `the schema of the server has no ${what}`);
}

async function targetOfView(client: GraphqlClient, catalog: CatalogQuery, view: View): Promise<ViewTarget> {
  const entity = catalog.entities.find(({ name }) => name === view.entity);
  const fields = [...(await loadServedFields(client, 'Query')).values()];
  const one = fields.find(({ type }) => type === `${entity?.graphqlType}!`);
  const many = fields.find(({ type }) => type === `[${entity?.graphqlType}!]!`);
  if (!one || !many) throw internal(`field for the entity ${view.entity}`);
  const keyFields = one.args.map(({ name }) => name);
  return { kind: 'view', view, keyFields, listField: many, updatedField: updatedField(view.graphqlType) };
}

async function targetOfService(client: GraphqlClient, service: Service): Promise<ServiceTarget> {
  const field = (await loadServedFields(client, 'Query')).get(service.graphqlField);
  if (!field) throw internal(`field for the service ${service.name}`);
  const typeName = namedType(field.type);
  // Request data is an argument too, but not of type ID.
  const keys = field.args.filter(({ type }) => type === 'ID!').map(({ name }) => name);
  const others = new Set([...keys, 'statuses', 'serviceVersion']);
  const features = [...(await loadServedFields(client, typeName)).keys()].filter((name) => !others.has(name));
  return { kind: 'service', service, typeName, keys, field, features, updatedField: updatedField(typeName) };
}

/** Finds a view (`user_stats`, `user_stats@1`) or service by name. Throws VIEW_UNKNOWN, or SERVICE_UNKNOWN where a service is preferred. */
export async function findTarget(
  client: GraphqlClient,
  name: string,
  prefer: 'view' | 'service',
): Promise<ViewTarget | ServiceTarget> {
  const catalog = await client.request(CatalogDocument, {});
  const view = catalog.featureViews.find((one) =>
    name.includes('@') ? `${one.name}@${one.version}` === name : one.name === name && one.current,
  );
  const service = catalog.featureServices.find((one) => one.name === name);
  if (service && (!view || prefer === 'service')) return targetOfService(client, service);
  if (view) return targetOfView(client, catalog, view);
  const names = [...catalog.featureViews, ...catalog.featureServices].map((one) => one.name);
  const known = [...new Set(names)].sort().join(', ') || 'none yet';
  const code = prefer === 'service' ? 'SERVICE_UNKNOWN' : 'VIEW_UNKNOWN';
  throw new FStoreError(code, `there is no feature view or service ${name} (there are: ${known})`);
}

function splitUnescaped(text: string, separator: string): string[] {
  const parts = [''];
  for (let index = 0; index < text.length; index += 1) {
    const letter = text.charAt(index);
    if (letter === '\\' && index + 1 < text.length) {
      index += 1;
      parts[parts.length - 1] += text.charAt(index);
    } else if (letter === separator) parts.push('');
    else parts[parts.length - 1] += letter;
  }
  return parts;
}

/** Returns a list field's argument for one key: the text itself, or the parts `a|b` or `a,b` of a composite key. */
export function keyArgument({ keyFields, view }: ViewTarget, text: string): unknown {
  if (keyFields.length === 1) return text;
  const piped = splitUnescaped(text, '|');
  const parts = piped.length === keyFields.length ? piped : splitUnescaped(text, ',');
  if (parts.length !== keyFields.length) {
    const form = keyFields.join('|');
    throw new UsageError(
      `${text} is no key of ${view.entity}: it has ${parts.length} of ${keyFields.length} parts`,
      `Write it as '${form}' or ${keyFields.join(',')}; a backslash goes before a separator inside a part.`,
    );
  }
  return Object.fromEntries(keyFields.map((field, index) => [field, parts[index]]));
}

/** Returns the keys of one vector from pairs such as `user_id=u1`, in snake_case or camelCase. Throws UsageError. */
export function vectorKeys({ keys, service }: ServiceTarget, pairs: readonly string[]): Record<string, string> {
  const given: Record<string, string> = {};
  for (const pair of pairs) {
    const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
    if (!keys.includes(camelCase(name))) {
      throw new UsageError(`${pair} names no join key of ${service.name}`, `Its join keys are ${keys.join(', ')}.`);
    }
    given[camelCase(name)] = value;
  }
  const missing = keys.filter((key) => given[key] === undefined);
  if (missing.length > 0) {
    const form = keys.map((key) => `--key ${key}=…`).join(' ');
    throw new UsageError(`${service.name} needs ${missing.join(' and ')} too`, `Give every join key: ${form}`);
  }
  return given;
}
