/** One measurement of one contender, and medians over several. */
import type { ContenderName } from './contender.js';
import type { PhaseReport } from './load.js';

/** The result of one contender in one round of one load. */
export interface Cell {
  readonly workload: string;
  readonly contender: ContenderName;
  readonly mode: 'closed' | 'open';
  readonly connections: number;
  /** Offered requests a second; null for a closed load. */
  readonly rate: number | null;
  readonly round: number;
  readonly figures: Figures;
  /** Answers that were not good, and requests without an answer. */
  readonly refused: number;
  readonly failed: number;
  readonly timedOut: number;
}

/** The figures of one measurement. */
export interface Figures {
  readonly requestsPerSecond: number;
  /** Milliseconds; for an open load, counted from the time at which the request was due. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** CPU microseconds of the contender's processes for one request. */
  readonly cpuMicroseconds: number;
  /** CPU microseconds of Redis and PostgreSQL for one request. */
  readonly storesCpuMicroseconds: number;
  /** CPUs kept busy: by the contender, by the load generator, and by processes that are not part of the bench. */
  readonly serverCores: number;
  readonly generatorCores: number;
  readonly othersCores: number;
  /** Milliseconds by which the generator itself was late, 99th percentile; NaN for a closed load. */
  readonly latenessP99: number;
  readonly residentMb: number;
}

/** Returns the figures of one measured phase. */
export function figuresOf(phase: PhaseReport, residentMb: number): Figures {
  const { cpu, latency, ms, good } = phase;
  const of = (name: string): number => cpu[name] ?? 0;
  const known = Object.entries(cpu).reduce((sum, [name, value]) => (name === 'machine' ? sum : sum + value), 0);
  const seconds = ms / 1000;
  return {
    requestsPerSecond: good / seconds,
    ...latency,
    cpuMicroseconds: (of('server') * 1e6) / good,
    storesCpuMicroseconds: ((of('redis') + of('postgres')) * 1e6) / good,
    serverCores: of('server') / seconds,
    generatorCores: of('generator') / seconds,
    othersCores: (of('machine') - known) / seconds,
    latenessP99: phase.lateness.p99,
    residentMb,
  };
}

/** Returns the median of the values that are not NaN; NaN if there are none. */
export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The cells of all rounds as one, with the median of each figure. */
export interface Summary extends Omit<Cell, 'round'> {
  readonly rounds: number;
}

/** Returns one summary for each contender and load. */
export function summarize(cells: readonly Cell[]): Summary[] {
  const groups = new Map<string, Cell[]>();
  for (const cell of cells) {
    const id = [cell.workload, cell.contender, cell.mode, cell.connections].join(' ');
    groups.set(id, [...(groups.get(id) ?? []), cell]);
  }
  return [...groups.values()].map((group) => {
    const { round: _, ...first } = group[0]!;
    const names = Object.keys(first.figures) as (keyof Figures)[];
    const middles = names.map((name) => [name, median(group.map(({ figures }) => figures[name]))] as const);
    const sum = (name: 'refused' | 'failed' | 'timedOut'): number => group.reduce((total, one) => total + one[name], 0);
    return {
      ...first,
      figures: Object.fromEntries(middles) as unknown as Figures,
      ...{ refused: sum('refused'), failed: sum('failed'), timedOut: sum('timedOut'), rounds: group.length },
    };
  });
}

/** Returns the summary of one contender under one load, or undefined if it was not measured. */
export function find(
  summaries: readonly Summary[],
  workload: string,
  contender: ContenderName,
  mode: Cell['mode'],
  connections?: number,
): Summary | undefined {
  return summaries.find(
    (one) =>
      one.workload === workload &&
      one.contender === contender &&
      one.mode === mode &&
      (connections === undefined || one.connections === connections),
  );
}

/** Returns the requests a second of a contender with its best number of connections; NaN if it was not measured. */
export function capacityOf(summaries: readonly Summary[], workload: string, contender: ContenderName): number {
  const all = summaries.filter(
    (one) => one.workload === workload && one.contender === contender && one.mode === 'closed',
  );
  return all.length === 0 ? Number.NaN : Math.max(...all.map(({ figures }) => figures.requestsPerSecond));
}
