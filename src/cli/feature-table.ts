/** Text output of feature values. */
import type { Vector, ViewRow } from './feature-operation.js';
import type { ServiceTarget, ViewTarget } from './feature-target.js';
import { layOutTable, showValue } from './table.js';
import type { Colors } from './terminal-color.js';

function paintStatus(status: string, { green, yellow, red }: Colors): string {
  if (status === 'PRESENT') return green(status);
  return status === 'UNAVAILABLE' || status === 'FORBIDDEN' ? red(status) : yellow(status);
}

/** Returns the row of one entity: a heading, then a line for each feature. */
export function describeRow(target: ViewTarget, key: string, row: ViewRow, colors: Colors): string[] {
  const { view } = target;
  const when = row.eventTime === null ? '' : `  ${row.eventTime}`;
  const heading = `${colors.bold(`${view.entity} ${key}`)}  ${paintStatus(row.status, colors)}${when}  ${view.name}@${row.version}`;
  const rows = view.features.map(({ name, graphqlField }) => [`  ${name}`, showValue(row[graphqlField])]);
  return [heading, ...layOutTable(null, rows)];
}

/** Returns a vector: a line for each feature, with its status and event time. */
export function describeVector(target: ServiceTarget, vector: Vector, colors: Colors): string[] {
  const statuses = new Map(vector.statuses.map((entry) => [entry.feature, entry]));
  const rows = target.features.map((feature) => {
    const { status = '', eventTime = null } = statuses.get(feature) ?? {};
    return [feature, showValue(vector[feature]), paintStatus(status, colors), showValue(eventTime)];
  });
  return layOutTable(['feature', 'value', 'status', 'event time'], rows);
}

/** Returns the features of a row or vector on one line. */
export function describeOnOneLine(features: readonly string[], values: Readonly<Record<string, unknown>>): string {
  return features.map((feature) => `${feature}=${showValue(values[feature])}`).join(' ');
}
