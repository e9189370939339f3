/** The measured rounds: all contenders in turn, starting with another one in each round. */
import { setTimeout as delay } from 'node:timers/promises';
import { listenerOf } from '../ingest/meter.js';
import { residentMb } from '../measure/process-tree.js';
import { type Cell, capacityOf, figuresOf, summarize } from './cell.js';
import type { Contender } from './contender.js';
import { GeneratorProcess } from './generator-process.js';
import type { Load, LoadReport, LoadTarget, PhaseReport } from './load.js';
import type { Workload } from './workload.js';
import type { World } from './world.js';

/** How long each load is measured, and how long it runs before that. */
export interface CellTimes {
  readonly measuredMs: number;
  readonly warmupMs: number;
}

/** The number of rounds, and the loads of each. */
export interface BenchOptions extends CellTimes {
  readonly rounds: number;
  readonly connections: readonly number[];
  readonly entities: number;
}

/** Connections of an open load: more than a server that keeps up ever uses at once. */
const OPEN_CONNECTIONS = 64;
const TIMEOUT_MS = 2_000;
/** The first load of a workload warms up this many times as long, because its code has not run yet. */
const FIRST_WARMUP = 6;
/** A contender whose capacity is below this multiple of the offered rate would only queue requests. */
const NEEDED_CAPACITY = 1.05;
const PAUSE_MS = 200;
/**
 * Assumed time of a cell besides its load, until some were measured: preparing requests, opening connections, the
 * pause.
 */
const USUAL_OVERHEAD_MS = 1_000;
/** Shorter measurements say nothing. */
const LEAST_MEASURED_MS = 300;
const WARMUP_SHARE = 0.2;

function portOf(endpoint: string): number {
  return Number(new URL(endpoint).port);
}

/** Runs the loads and collects their results. */
export class Bench {
  readonly #options: BenchOptions;
  readonly #contenders: readonly Contender[];
  readonly #generator = new GeneratorProcess();
  readonly #stores: Readonly<Record<string, number | null>>;
  readonly #warm = new Set<string>();
  #times: CellTimes;
  #overhead = { ms: 0, cells: 0 };
  readonly cells: Cell[] = [];

  constructor(world: World, contenders: readonly Contender[], options: BenchOptions) {
    this.#options = options;
    this.#times = options;
    this.#contenders = contenders;
    this.#stores = {
      redis: listenerOf(portOf(world.pool.endpoints.redis!)),
      postgres: listenerOf(portOf(world.pool.endpoints.postgres!)),
    };
  }

  stop(): void {
    this.#generator.stop();
  }

  /**
   * Shortens the loads of the next workload so that all of them fit into `budgetMs` milliseconds. Returns the new
   * times.
   */
  fitInto(budgetMs: number): CellTimes {
    const { rounds, connections, measuredMs, warmupMs } = this.#options;
    const idle = this.#contenders.some(({ name }) => name === 'feast2') && connections.includes(1) ? 1 : 0;
    // The first load of each contender warms up for longer.
    const cells = rounds * ((connections.length + 1) * this.#contenders.length - idle);
    const extra = this.#contenders.length * (FIRST_WARMUP - 1) * WARMUP_SHARE;
    const { ms, cells: seen } = this.#overhead;
    const each = (budgetMs - cells * (seen > 0 ? ms / seen : USUAL_OVERHEAD_MS)) / (cells + extra);
    this.#times = {
      measuredMs: Math.min(measuredMs, Math.max(LEAST_MEASURED_MS, each * (1 - WARMUP_SHARE))),
      warmupMs: Math.min(warmupMs, Math.max(LEAST_MEASURED_MS / 2, each * WARMUP_SHARE)),
    };
    return this.#times;
  }

  /** Runs all rounds of a workload's closed loads. */
  async runClosed(workload: Workload): Promise<void> {
    for (let round = 0; round < this.#options.rounds; round += 1) {
      for (const connections of this.#options.connections) {
        for (const contender of this.#inTurn(round)) {
          // With one connection only one of the two workers has work.
          if (contender.name === 'feast2' && connections === 1) continue;
          const warmupMs = this.#warmupOf(contender, workload);
          const report = await this.#run(warmupMs, {
            kind: 'closed',
            ...this.#targetOf(contender, workload, round, connections),
            ...{ connections, warmupMs, measuredMs: this.#times.measuredMs },
          });
          this.#add(contender, workload, round, connections, null, report.phases.at(-1)!);
        }
      }
    }
  }

  /**
   * Runs all rounds of a workload's open load, at half the capacity of the raw server (or of the first contender).
   * Skips contenders with too little capacity, except FStore, which then gets half of its own capacity.
   */
  async runOpen(workload: Workload): Promise<void> {
    const summaries = summarize(this.cells);
    const yardstick = this.#contenders.find(({ name }) => name === 'raw') ?? this.#contenders[0]!;
    const common = Math.round(capacityOf(summaries, workload.name, yardstick.name) / 2);
    for (let round = 0; round < this.#options.rounds; round += 1) {
      for (const contender of this.#inTurn(round)) {
        const capacity = capacityOf(summaries, workload.name, contender.name);
        const able = capacity >= common * NEEDED_CAPACITY;
        if (!able && contender.name !== 'fstore') continue;
        const rate = able ? common : Math.round(capacity / 2);
        const { warmupMs, measuredMs } = this.#times;
        const report = await this.#run(warmupMs, {
          kind: 'open',
          ...this.#targetOf(contender, workload, round, 0),
          ...{ connections: OPEN_CONNECTIONS, timeoutMs: TIMEOUT_MS, windowMs: null, isExact: true },
          phases: [
            { name: 'warm-up', rate, ms: warmupMs },
            { name: 'measured', rate, ms: measuredMs },
          ],
        });
        this.#add(contender, workload, round, OPEN_CONNECTIONS, rate, report.phases.at(-1)!);
      }
    }
  }

  async #run(warmupMs: number, load: Load): Promise<LoadReport> {
    const since = performance.now();
    const report = await this.#generator.run(load);
    await delay(PAUSE_MS);
    this.#overhead.ms += performance.now() - since - warmupMs - this.#times.measuredMs;
    this.#overhead.cells += 1;
    return report;
  }

  #inTurn(round: number): readonly Contender[] {
    const from = round % this.#contenders.length;
    return [...this.#contenders.slice(from), ...this.#contenders.slice(0, from)];
  }

  #warmupOf(contender: Contender, workload: Workload): number {
    const id = `${contender.name} ${workload.name}`;
    const first = !this.#warm.has(id);
    this.#warm.add(id);
    return this.#times.warmupMs * (first ? FIRST_WARMUP : 1);
  }

  /** All contenders get the same seed. It differs between rounds and numbers of connections. */
  #targetOf(contender: Contender, workload: Workload, round: number, connections: number): LoadTarget {
    return {
      ...{ port: contender.port, door: contender.door, workload: workload.name, entities: this.#options.entities },
      seed: 1 + round * 100 + connections,
      processes: { server: contender.running.pid, ...this.#stores },
    };
  }

  #add(
    contender: Contender,
    workload: Workload,
    round: number,
    connections: number,
    rate: number | null,
    phase: PhaseReport,
  ): void {
    const { refused, failed, timedOut } = phase;
    const figures = figuresOf(phase, residentMb(contender.running.pid));
    const mode = rate === null ? 'closed' : 'open';
    const cell = {
      workload: workload.name,
      contender: contender.name,
      mode,
      connections,
      rate,
      round,
      figures,
    } as const;
    this.cells.push({ ...cell, refused, failed, timedOut });
    const load = rate === null ? `${connections} connections` : `${rate}/s offered`;
    const text = `${workload.name} ${contender.name}, ${load}: ${Math.round(figures.requestsPerSecond)}/s`;
    const bad = refused + failed + timedOut > 0 ? `, ${refused} refused, ${failed} failed, ${timedOut} timed out` : '';
    const latency = `p50 ${figures.p50.toFixed(2)}, p99 ${figures.p99.toFixed(2)} ms`;
    process.stderr.write(`${text}, ${latency}, ${Math.round(figures.cpuMicroseconds)} µs CPU${bad}\n`);
  }
}
