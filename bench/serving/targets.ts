/** FStore's performance targets compared with its peers, and whether the figures meet them. */
import { find, type Summary } from './cell.js';
import type { ContenderName } from './contender.js';

/** One target in one cell. `ratio` is FStore's figure divided by the peer's; infinite if it could not be measured. */
export interface Verdict {
  readonly promise: string;
  readonly cell: string;
  readonly ratio: number;
  readonly bound: string;
  readonly held: boolean;
}

const ONE_AND_LIST = ['one10', 'list100x10'];
const MANY_CONNECTIONS = 16;

function ratioOf(
  summaries: readonly Summary[],
  one: Summary,
  peer: ContenderName,
  figure: 'requestsPerSecond' | 'p50' | 'p99',
): number {
  const other = find(summaries, one.workload, peer, one.mode, one.connections);
  return other ? one.figures[figure] / other.figures[figure] : Number.NaN;
}

/** Returns a verdict on every target for which both sides were measured. */
export function judge(summaries: readonly Summary[]): Verdict[] {
  const own = summaries.filter(({ contender }) => contender === 'fstore');
  const verdicts: Verdict[] = [];
  const add = (promise: string, one: Summary, ratio: number, bound: number, least: boolean): void => {
    if (Number.isNaN(ratio)) return;
    const load = one.mode === 'open' ? `at ${one.rate}/s` : `${one.connections} connections`;
    verdicts.push({
      ...{ promise, cell: `${one.workload}, ${load}`, ratio },
      ...{ bound: `${least ? '≥' : '≤'} ${bound}`, held: least ? ratio >= bound : ratio <= bound },
    });
  };
  for (const one of own) {
    const many = one.mode === 'closed' && one.connections >= MANY_CONNECTIONS;
    if (many && ONE_AND_LIST.includes(one.workload)) {
      add('requests/s against raw', one, ratioOf(summaries, one, 'raw', 'requestsPerSecond'), 0.85, true);
      add('requests/s against Mercurius', one, ratioOf(summaries, one, 'mercurius', 'requestsPerSecond'), 1.3, true);
    }
    if (many) add('requests/s against Feast', one, ratioOf(summaries, one, 'feast', 'requestsPerSecond'), 15, true);
    if (one.mode === 'closed' && one.connections === 1) {
      add('p50 against Feast', one, ratioOf(summaries, one, 'feast', 'p50'), 0.2, false);
    }
    if (one.mode === 'open') {
      // The ratio counts only if both ran at the same rate, and not if FStore got half of its own capacity.
      const same = find(summaries, one.workload, 'raw', 'open')?.rate === one.rate;
      const ratio = ratioOf(summaries, one, 'raw', 'p99');
      add(
        'p99 against raw, half load',
        one,
        same || Number.isNaN(ratio) ? ratio : Number.POSITIVE_INFINITY,
        1.5,
        false,
      );
    }
    add('bad answers', one, one.refused + one.failed + one.timedOut, 0, false);
  }
  return verdicts;
}
