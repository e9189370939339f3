/** Text output of a plan: one line for each definition, then the changes of the GraphQL schema. */
import type { PlanReportFragment } from './generated/operations.js';
import { layOutTable } from './table.js';
import type { Colors } from './terminal-color.js';

const MAX_SAFE = 12;
const MARKS = { CREATE: '＋ create', NEW_VERSION: '▲ new version', UPDATE: '~ update', RETIRE: '− retire' } as const;
const KINDS: Readonly<Record<string, string>> = {
  entity: 'entity',
  source: 'source',
  featureView: 'view',
  onDemandFeatureView: 'on demand',
  transformer: 'transformer',
  featureService: 'service',
  consumer: 'consumer',
};

/** Returns the lines of a plan. Beyond MAX_SAFE, safe schema changes are only counted. */
export function describePlan(report: PlanReportFragment, colors: Colors): string[] {
  const { changes, schemaChanges } = report;
  if (changes.length === 0) return ['No changes: the definitions are what the project has.'];
  const paint = { CREATE: colors.green, NEW_VERSION: colors.cyan, UPDATE: colors.yellow, RETIRE: colors.red };
  const rows = changes.map(({ action, kind, name, version }) => {
    return [paint[action](MARKS[action]), KINDS[kind] ?? kind, `${name}@${version}`];
  });
  const lines = layOutTable(null, rows);
  const of = (level: string) => schemaChanges.filter((change) => change.criticality === level);
  const safe = of('SAFE');
  // The description of a new field is reported as a change of its own, which adds nothing to the change of the field.
  const listed = safe.filter(({ message }) => !/\bdescription\b/i.test(message)).slice(0, MAX_SAFE);
  const shown = [
    ...of('BREAKING').map(({ message }) => [colors.red('breaking'), message]),
    ...of('DANGEROUS').map(({ message }) => [colors.yellow('dangerous'), message]),
    ...listed.map(({ message }) => [colors.green('safe'), message]),
  ];
  if (shown.length > 0) lines.push('', colors.bold('GraphQL schema'), ...layOutTable(null, shown));
  const more = safe.length - listed.length;
  if (more > 0) lines.push(colors.dim(`… and ${more} more safe changes (--json lists all)`));
  return lines;
}
