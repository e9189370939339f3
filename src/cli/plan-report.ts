/** How a plan is shown: one line for each definition, then what it does to the GraphQL schema. */
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

/** The lines of a plan. Safe schema changes beyond a few are counted, not listed. */
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
  // Descriptions that come with a new field say nothing that the field does not.
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
