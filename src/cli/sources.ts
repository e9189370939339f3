/** `fstore sources`: lists sources and how fresh their data is. */
import type { Command } from 'commander';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { SourcesDocument, type SourcesQuery } from './generated/operations.js';
import { printJson, printLines } from './output.js';
import { registerSourceCheck } from './source-check.js';
import { layOutTable, showValue } from './table.js';

const HELP = `
lag           events that wait in the event bus; – where there is no stream
newest event  the newest event time that was taken in
rows/min      events of the last minute
A view on another engine has a line of its own, because it is as far as that engine is.

Examples:
  fstore sources
  fstore sources --json
`;

/** Returns a duration in its largest two units. */
function showAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1_000));
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3_600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} m`;
  return minutes > 0 ? `${minutes} m ${seconds % 60} s` : `${seconds} s`;
}

/** Returns the table of sources. `now` is in milliseconds since 1970. */
function sourceLines({ sources, featureViews }: SourcesQuery, now: number): string[] {
  const age = (time: string | null): string => (time === null ? '–' : `${showAge(now - Date.parse(time))} ago`);
  const rows = sources.flatMap(({ name, topic, freshness }) => {
    const views = featureViews.filter((view) => view.source === name);
    const elsewhere = views.filter((view) => view.freshness && view.freshness.engine !== 'builtin');
    return [
      [
        name,
        showValue(topic),
        showValue(freshness?.lag),
        showValue(freshness?.newestEventTime),
        age(freshness?.takenInAt ?? null),
        showValue(freshness?.rowsPerMinute),
        showValue(freshness?.events),
        showValue(freshness?.deadLetters),
        `${views.length}`,
      ],
      ...elsewhere.map((view) => [
        `  ${view.name}@${view.version}`,
        `(${view.freshness?.engine})`,
        showValue(view.freshness?.lag),
        showValue(view.freshness?.newestEventTime),
        age(view.freshness?.takenInAt ?? null),
        showValue(view.freshness?.rowsPerMinute),
      ]),
    ];
  });
  const headings = [
    'source',
    'topic',
    'lag',
    'newest event',
    'taken in',
    'rows/min',
    'events',
    'dead letters',
    'views',
  ];
  return rows.length > 0 ? layOutTable(headings, rows) : ['No sources.'];
}

/** Adds `fstore sources`. */
export function registerSources(program: Command): void {
  const sources = addConnectionOptions(program.command('sources'))
    .description('list sources: how much waits, and how fresh they are')
    .addHelpText('after', HELP)
    .action(async (options: ConnectionOptions) => {
      const found = await connect(options).request(SourcesDocument, {});
      if (options.json) printJson(found);
      else printLines(sourceLines(found, Date.now()));
    });
  registerSourceCheck(sources);
}
