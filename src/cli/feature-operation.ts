/** GraphQL documents that read and watch features of a target, with the types of their answers. */
import type { ServiceTarget, ViewTarget } from './feature-target.js';
import type { Operation } from './graphql-client.js';

/** A row of a view: its features by GraphQL field, with status and event time. */
export interface ViewRow {
  readonly status: string;
  readonly eventTime: string | null;
  readonly version: number;
  readonly [feature: string]: unknown;
}

/** The status of one feature of a vector. */
export interface FeatureStatusEntry {
  readonly feature: string;
  readonly status: string;
  readonly eventTime: string | null;
}

/** A vector of a service: its join keys and features by GraphQL field. */
export interface Vector {
  readonly statuses: readonly FeatureStatusEntry[];
  readonly serviceVersion: number;
  readonly [feature: string]: unknown;
}

function rowSelection({ view }: ViewTarget): string {
  return `{ status eventTime version ${view.features.map(({ graphqlField }) => graphqlField).join(' ')} }`;
}

function vectorSelection({ keys, features }: ServiceTarget): string {
  return `{ ${[...keys, ...features].join(' ')} statuses { feature status eventTime } serviceVersion }`;
}

function listArgument({ listField }: ViewTarget): { name: string; type: string } {
  return listField.args[0] ?? { name: 'ids', type: '[ID!]!' };
}

/** Returns the query for rows of a view; the answer is in the order of the keys. */
export function readViewOperation(
  target: ViewTarget,
): Operation<{ entities: { row: ViewRow }[] }, { keys: unknown[]; asOf: string | null }> {
  const { name, type } = listArgument(target);
  const row = `row: ${target.view.graphqlField}(asOf: $asOf) ${rowSelection(target)}`;
  return `query ReadView($keys: ${type}, $asOf: DateTime) {
    entities: ${target.listField.name}(${name}: $keys) { ${row} }
  }`;
}

/** Returns the query for the vector of a service at one set of join keys. */
export function readServiceOperation(target: ServiceTarget): Operation<{ vector: Vector }, Record<string, string>> {
  const variables = target.keys.map((name) => `$${name}: ID!`).join(', ');
  const args = target.keys.map((name) => `${name}: $${name}`).join(', ');
  return `query ReadService(${variables}) { vector: ${target.field.name}(${args}) ${vectorSelection(target)} }`;
}

/** Returns the subscription to rows of a view; with `keys` null, to those of all entities. */
export function watchViewOperation(
  target: ViewTarget,
): Operation<{ entity: { row: ViewRow; [keyField: string]: unknown } }, { keys: unknown[] | null }> {
  const { name, type } = listArgument(target);
  const row = `row: ${target.view.graphqlField} ${rowSelection(target)}`;
  return `subscription WatchView($keys: ${type.replace(/!$/, '')}) {
    entity: ${target.updatedField}(${name}: $keys) { ${target.keyFields.join(' ')} ${row} }
  }`;
}

/** Returns the subscription to vectors of a service. */
export function watchServiceOperation(
  target: ServiceTarget,
): Operation<{ vector: Vector }, { keys: Record<string, string>[] }> {
  return `subscription WatchService($keys: [${target.typeName}Keys!]!) {
    vector: ${target.updatedField}(keys: $keys) ${vectorSelection(target)}
  }`;
}
