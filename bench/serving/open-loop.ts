/**
 * An open load. Requests are due by the clock, evenly spaced, and latency counts from the time a request was due. So a
 * late answer also delays the requests behind it, as it does for users who do not wait for each other.
 *
 * The loop spins through the event loop while the next request is due soon, because timers of a millisecond would
 * distort the latency. That takes a whole CPU.
 */
import type { CpuSeconds } from '../ingest/meter.js';
import { CpuClock } from '../measure/cpu-clock.js';
import { LatencyHistogram } from '../measure/latency-histogram.js';
import { type Answer, HttpConnection } from './http-connection.js';
import type { LoadReport, OpenLoad, PhaseReport, WindowReport } from './load.js';
import type { RequestList } from './request-list.js';
import { PREFIXES } from './workload.js';

/** Within this many milliseconds before the next request, a timer is too coarse. */
const SPIN_BELOW = 4;
/** How long to wait for answers after the last request, in addition to the timeout. */
const DRAIN_MS = 200;

/** Counts the requests that were due in one phase or window. */
class Tally {
  readonly latency = new LatencyHistogram();
  readonly lateness = new LatencyHistogram();
  offered = 0;
  refused = 0;
  failed = 0;
  timedOut = 0;

  count() {
    return { good: this.latency.total, refused: this.refused, failed: this.failed, timedOut: this.timedOut };
  }
}

interface Stretch {
  readonly name: string;
  readonly start: number;
  readonly ms: number;
  readonly rate: number;
  readonly tally: Tally;
  readonly windows: Tally[];
  before: CpuSeconds | null;
  cpu: CpuSeconds | null;
}

/** Runs one open load. */
export class OpenLoop {
  readonly #load: OpenLoad;
  readonly #requests: RequestList;
  readonly #clock: CpuClock;
  readonly #connections: HttpConnection[];
  readonly #idle: HttpConnection[] = [];
  /** When each request that waits for a connection was due. Those before `#first` have been sent. */
  #waiting: number[] = [];
  #first = 0;
  #stretches: Stretch[] = [];

  constructor(load: OpenLoad, requests: RequestList, clock: CpuClock) {
    this.#load = load;
    this.#requests = requests;
    this.#clock = clock;
    const onAnswer = (connection: HttpConnection, answer: Answer): void => this.#answered(connection, answer);
    this.#connections = Array.from(
      { length: load.connections },
      () => new HttpConnection(load.port, PREFIXES[load.door], onAnswer),
    );
  }

  async run(): Promise<LoadReport> {
    for (const connection of this.#connections) await connection.open();
    this.#idle.push(...this.#connections);
    let start = performance.now() + 50;
    this.#stretches = this.#load.phases.map(({ name, rate, ms }) => {
      const windows = this.#load.windowMs === null ? 0 : Math.ceil(ms / this.#load.windowMs);
      const tallies = Array.from({ length: windows }, () => new Tally());
      const stretch = { name, start, ms, rate, tally: new Tally(), windows: tallies, before: null, cpu: null };
      start += ms;
      return stretch;
    });
    for (const stretch of this.#stretches) await this.#runStretch(stretch);
    await this.#drain();
    for (const connection of this.#connections) connection.close();
    return { phases: this.#stretches.map(reportOf), windows: this.#stretches.flatMap((one) => this.#windowsOf(one)) };
  }

  #runStretch(stretch: Stretch): Promise<void> {
    const { start, rate, ms } = stretch;
    const total = Math.floor((rate * ms) / 1000);
    const spacing = 1000 / rate;
    let issued = 0;
    return new Promise((resolve) => {
      const turn = (): void => {
        const now = performance.now();
        if (now >= start) stretch.before ??= this.#clock.read();
        while (issued < total && start + issued * spacing <= now) {
          const due = start + issued * spacing;
          issued += 1;
          this.#each(due, (tally) => {
            tally.offered += 1;
          });
          this.#waiting.push(due);
        }
        this.#send();
        if (now >= start + ms) {
          const after = this.#clock.read();
          stretch.cpu = CpuClock.between(stretch.before ?? after, after);
          resolve();
          return;
        }
        const next = issued < total ? start + issued * spacing : start + ms;
        // If all connections are in use, only answers can free one; spinning would only take CPU time from the server.
        if (this.#first < this.#waiting.length || !this.#load.isExact) setTimeout(turn, 1);
        else if (next - now > SPIN_BELOW) setTimeout(turn, Math.floor(next - now - SPIN_BELOW / 2));
        else setImmediate(turn);
      };
      turn();
    });
  }

  /** Sends waiting requests over free connections, in order. Requests that have waited too long time out. */
  #send(): void {
    const now = performance.now();
    while (this.#first < this.#waiting.length) {
      const due = this.#waiting[this.#first]!;
      const late = now - due > this.#load.timeoutMs;
      if (!late && this.#idle.length === 0) break;
      this.#first += 1;
      if (late) {
        this.#each(due, (tally) => {
          tally.timedOut += 1;
        });
        continue;
      }
      const connection = this.#idle.pop()!;
      // Waiting for a connection is caused by the server. Lateness counts only requests that found a free connection.
      if (this.#idle.length > 0) this.#stretchOf(due)?.tally.lateness.record(now - due);
      connection.intended = due;
      connection.send(this.#requests.next());
    }
    if (this.#first > 10_000) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
  }

  #answered(connection: HttpConnection, { status, good }: Answer): void {
    const taken = performance.now() - connection.intended;
    this.#each(connection.intended, (tally) => {
      if (status === 503) tally.refused += 1;
      else if (status !== 200 || !good) tally.failed += 1;
      else if (taken > this.#load.timeoutMs) tally.timedOut += 1;
      else tally.latency.record(taken);
    });
    this.#idle.push(connection);
    this.#send();
  }

  async #drain(): Promise<void> {
    const deadline = performance.now() + this.#load.timeoutMs + DRAIN_MS;
    while (performance.now() < deadline && this.#idle.length < this.#connections.length) {
      this.#send();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const lost = this.#connections.filter((connection) => connection.busy).map((connection) => connection.intended);
    for (const due of [...lost, ...this.#waiting.slice(this.#first)]) {
      this.#each(due, (tally) => {
        tally.timedOut += 1;
      });
    }
  }

  #stretchOf(due: number): Stretch | undefined {
    return this.#stretches.findLast(({ start }) => start <= due);
  }

  #each(due: number, change: (tally: Tally) => void): void {
    const stretch = this.#stretchOf(due);
    if (!stretch) return;
    change(stretch.tally);
    const window = this.#load.windowMs && stretch.windows[Math.floor((due - stretch.start) / this.#load.windowMs)];
    if (window) change(window);
  }

  #windowsOf({ name, windows }: Stretch): WindowReport[] {
    return windows.map((tally, index) => {
      const at = index * (this.#load.windowMs ?? 0);
      return { at, phase: name, ...tally.count(), p99: tally.latency.percentile(0.99) };
    });
  }
}

function reportOf({ name, ms, tally, cpu }: Stretch): PhaseReport {
  const [latency, lateness] = [tally.latency.percentiles(), tally.lateness.percentiles()];
  return { name, ms, offered: tally.offered, ...tally.count(), latency, lateness, cpu: cpu ?? {} };
}
