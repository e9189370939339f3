/** What the load generator's process is told, and what it answers. All times are milliseconds. */
import type { CpuSeconds } from '../ingest/meter.js';
import type { Percentiles } from '../measure/latency-histogram.js';
import type { Door } from './workload.js';

/** Whom to ask for what. */
export interface LoadTarget {
  readonly port: number;
  readonly door: Door;
  readonly workload: string;
  /** Entities that were loaded. */
  readonly entities: number;
  readonly seed: number;
  /** Processes whose CPU time is told, by name. */
  readonly processes: Readonly<Record<string, number | null>>;
}

/** Each connection sends its next request when the last was answered. */
export interface ClosedLoad extends LoadTarget {
  readonly kind: 'closed';
  readonly connections: number;
  readonly warmupMs: number;
  readonly measuredMs: number;
}

/** One stretch of an open load. */
export interface Phase {
  readonly name: string;
  /** Requests a second, evenly spaced. */
  readonly rate: number;
  readonly ms: number;
}

/** Requests leave by the clock, whatever the answers do; they wait for a connection if none is free. */
export interface OpenLoad extends LoadTarget {
  readonly kind: 'open';
  readonly connections: number;
  readonly phases: readonly Phase[];
  /** A request that is not answered so long after it was due counts as timed out. */
  readonly timeoutMs: number;
  /** Length of the windows that are told one by one; null: none are. */
  readonly windowMs: number | null;
  /** Whether requests leave exactly when they are due, for which the generator takes a CPU, or with those of the same millisecond. */
  readonly isExact: boolean;
}

export type Load = ClosedLoad | OpenLoad;

export interface Count {
  /** 200 with a body that begins as it should, in time. */
  readonly good: number;
  readonly refused: number;
  /** Any other answer, and broken connections. */
  readonly failed: number;
  /** Answered too late, or never sent because no connection became free. */
  readonly timedOut: number;
}

export interface PhaseReport extends Count {
  readonly name: string;
  readonly ms: number;
  readonly offered: number;
  /** Of good answers, from when the request was due. */
  readonly latency: Percentiles;
  /** By how much the generator itself was late to send. */
  readonly lateness: Percentiles;
  /** CPU seconds of each process within the phase. */
  readonly cpu: CpuSeconds;
}

export interface WindowReport extends Count {
  /** When it began, counted from the beginning of its phase. */
  readonly at: number;
  readonly phase: string;
  readonly p99: number;
}

export interface LoadReport {
  readonly phases: readonly PhaseReport[];
  readonly windows: readonly WindowReport[];
}
