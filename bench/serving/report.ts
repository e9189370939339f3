/** Formats the figures as Markdown. */
import { short, table, whole } from '../measure/markdown.js';
import { find, type Summary } from './cell.js';
import type { ContenderName } from './contender.js';
import { judge } from './targets.js';

function against(summaries: readonly Summary[], one: Summary, peer: ContenderName): string {
  const other = find(summaries, one.workload, peer, one.mode, one.connections);
  if (!other || other === one) return '–';
  return `×${short(one.figures.requestsPerSecond / other.figures.requestsPerSecond)}`;
}

function badOf({ refused, failed, timedOut }: Summary): string {
  return refused + failed + timedOut === 0 ? '' : `${refused} / ${failed} / ${timedOut}`;
}

function closedTable(summaries: readonly Summary[], workload: string): string {
  const rows = summaries
    .filter((one) => one.workload === workload && one.mode === 'closed')
    .sort((a, b) => a.connections - b.connections);
  return table(
    [
      ...[
        'connections',
        'contender',
        'requests/s',
        'p50 ms',
        'p99 ms',
        'p99.9 ms',
        'CPU µs/request',
        'stores µs/request',
      ],
      ...[
        'server CPUs',
        'generator CPUs',
        'others CPUs',
        'RSS MB',
        'vs raw',
        'vs Mercurius',
        'vs Feast',
        'bad answers',
      ],
    ],
    rows.map((one) => {
      const { figures } = one;
      return [
        ...[`${one.connections}`, one.contender, whole(figures.requestsPerSecond), short(figures.p50)],
        ...[short(figures.p99), short(figures.p999), whole(figures.cpuMicroseconds)],
        ...[whole(figures.storesCpuMicroseconds), short(figures.serverCores), short(figures.generatorCores)],
        ...[short(figures.othersCores), whole(figures.residentMb), against(summaries, one, 'raw')],
        ...[against(summaries, one, 'mercurius'), against(summaries, one, 'feast'), badOf(one)],
      ];
    }),
  );
}

function openTable(summaries: readonly Summary[]): string {
  const rows = summaries.filter(({ mode }) => mode === 'open');
  return table(
    [
      ...[
        'workload',
        'offered/s',
        'contender',
        'good/s',
        'p50 ms',
        'p99 ms',
        'p99.9 ms',
        'CPU µs/request',
        'server CPUs',
      ],
      ...['generator late p99 ms', 'others CPUs', 'bad answers'],
    ],
    rows.map((one) => {
      const { figures } = one;
      return [
        ...[one.workload, whole(one.rate ?? Number.NaN), one.contender, whole(figures.requestsPerSecond)],
        ...[short(figures.p50), short(figures.p99), short(figures.p999), whole(figures.cpuMicroseconds)],
        ...[short(figures.serverCores), short(figures.latenessP99), short(figures.othersCores), badOf(one)],
      ];
    }),
  );
}

function targetTable(summaries: readonly Summary[]): string {
  const verdicts = judge(summaries);
  const telling = verdicts.filter(({ promise, held }) => promise !== 'bad answers' || !held);
  const missed = telling.filter(({ held }) => !held).length;
  const rows = telling.map(({ promise, cell, ratio, bound, held }) => {
    return [promise, cell, short(ratio), bound, held ? 'held' : '**missed**'];
  });
  const count = `${telling.length - missed} of ${telling.length} cells hold what is promised.`;
  return `${count}\n\n${table(['promise', 'cell', 'ratio', 'bound', ''], rows)}`;
}

/** Returns the report on all summaries as Markdown. */
export function describe(summaries: readonly Summary[], machine: object, settings: object): string {
  const workloads = [...new Set(summaries.map(({ workload }) => workload))];
  return [
    '# Serving',
    `Machine: \`${JSON.stringify(machine)}\``,
    `Settings: \`${JSON.stringify(settings)}\``,
    'Medians over rounds. Bad answers: refused (503) / failed / timed out, sum of all rounds.',
    '## Promises',
    targetTable(summaries),
    '## Closed loop',
    ...workloads.flatMap((workload) => [`### ${workload}`, closedTable(summaries, workload)]),
    '## Open loop, half of what the raw server can do, latency from when a request was due',
    'A contender that can not answer that rate is not in the table; FStore is then offered half of what it can do itself.',
    openTable(summaries),
    '',
  ].join('\n\n');
}
