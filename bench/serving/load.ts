/** The orders for the load generator's process, and its reports. All times are in milliseconds. */
import type { CpuSeconds } from '../ingest/meter.js';
import type { Percentiles } from '../measure/latency-histogram.js';
import type { Door } from './workload.js';

/** Which server to load, and with which requests. */
export interface LoadTarget {
  readonly port: number;
  readonly door: Door;
  readonly workload: string;
  /** Number of entities that were loaded. */
  readonly entities: number;
  readonly seed: number;
  /** Processes whose CPU time is reported, by name. */
  readonly processes: Readonly<Record<string, number | null>>;
}

/** A closed load: each connection sends its next request when the last one was answered. */
export interface ClosedLoad extends LoadTarget {
  readonly kind: 'closed';
  readonly connections: number;
  readonly warmupMs: number;
  readonly measuredMs: number;
}

/** One phase of an open load. */
export interface Phase {
  readonly name: string;
  /** Requests a second, evenly spaced. */
  readonly rate: number;
  readonly ms: number;
}

/** An open load: requests are sent by the clock, regardless of answers. They wait if no connection is free. */
export interface OpenLoad extends LoadTarget {
  readonly kind: 'open';
  readonly connections: number;
  readonly phases: readonly Phase[];
  /** A request that is not answered within this time after it was due counts as timed out. */
  readonly timeoutMs: number;
  /** Length of the windows that are reported individually; null for none. */
  readonly windowMs: number | null;
  /**
   * True to send each request exactly when it is due, which takes a whole CPU. False to send the requests of a
   * millisecond together.
   */
  readonly isExact: boolean;
}

/** An order for the load generator. */
export type Load = ClosedLoad | OpenLoad;

/** Counts of requests by outcome. */
export interface Count {
  /** Answered in time with 200 and a body that begins as expected. */
  readonly good: number;
  readonly refused: number;
  /** Any other answer, and broken connections. */
  readonly failed: number;
  /** Answered too late, or never sent because no connection became free. */
  readonly timedOut: number;
}

/** The result of one phase. */
export interface PhaseReport extends Count {
  readonly name: string;
  readonly ms: number;
  readonly offered: number;
  /** Latency of good answers, from when the request was due. */
  readonly latency: Percentiles;
  /** By how much the generator itself was late to send. */
  readonly lateness: Percentiles;
  /** CPU seconds of each process within the phase. */
  readonly cpu: CpuSeconds;
}

/** The result of one window of a phase. */
export interface WindowReport extends Count {
  /** When the window began, counted from the beginning of its phase. */
  readonly at: number;
  readonly phase: string;
  readonly p99: number;
}

/** The result of a load. */
export interface LoadReport {
  readonly phases: readonly PhaseReport[];
  readonly windows: readonly WindowReport[];
}
