/**
 * How many requests may be under way, so that what is taken is answered soon however much is asked for.
 *
 * Invariants
 * 1. Never more than `max`.
 * 2. While the event loop has no pause, no more than are answered in WAIT_MS, or LEAST: by Little's law a request then waits about as long
 *    for those before it. A burst that comes to an idle process, and requests that wait for a store, are not refused for that.
 */
import { performance } from 'node:perf_hooks';

const INTERVAL_MS = 100;
/** How long a request may wait for those before it. */
const WAIT_MS = 25;
/** Fewer would make the reads of a turn too small to be worth it. */
const LEAST = 64;
/** From here the event loop has no pause: what it did not begin is waiting. */
const BUSY = 0.99;
/** An interval that took longer was one long piece of work, which says nothing of requests. */
const STALL_MS = 5 * INTERVAL_MS;

/** Milliseconds for which the event loop has waited, and has worked, since it began. */
export interface LoopTimes {
  readonly idle: number;
  readonly active: number;
}

export class LoadLimit {
  inFlight = 0;
  /** Requests that were refused. */
  shed = 0;
  readonly #max: number;
  readonly #loopTimes: () => LoopTimes;
  readonly #timer: NodeJS.Timeout;
  #bound: number;
  #answered = 0;
  #last: LoopTimes;

  constructor(max: number, loopTimes: () => LoopTimes = () => performance.eventLoopUtilization()) {
    this.#max = max;
    this.#bound = max;
    this.#loopTimes = loopTimes;
    this.#last = loopTimes();
    this.#timer = setInterval(() => this.adjust(), INTERVAL_MS).unref();
  }

  /** Whether there is no room for another request. */
  get isFull(): boolean {
    return this.inFlight >= this.#bound;
  }

  enter(): void {
    this.inFlight += 1;
  }

  /** Of a request that was answered. */
  leave(): void {
    this.inFlight -= 1;
    this.#answered += 1;
  }

  /** Of a request that enters again elsewhere. */
  withdraw(): void {
    this.inFlight -= 1;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Sets the bound by what was done since it was set last. */
  adjust(): void {
    const times = this.#loopTimes();
    const [idle, active] = [times.idle - this.#last.idle, times.active - this.#last.active];
    const isBusy = active >= BUSY * (idle + active) && active < STALL_MS;
    const inTime = Math.ceil((this.#answered * WAIT_MS) / (idle + active));
    this.#bound = isBusy ? Math.min(this.#max, Math.max(LEAST, inTime)) : this.#max;
    this.#answered = 0;
    this.#last = times;
  }
}
