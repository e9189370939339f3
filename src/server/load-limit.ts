/**
 * Limits the number of requests in flight, so that accepted requests are answered soon under any load.
 *
 * Invariants
 * 1. At most `max` requests are in flight.
 * 2. While the event loop is saturated, at most as many are in flight as the process answers within WAIT_MS, but at
 *    least LEAST. By Little's law a request then waits about WAIT_MS for those before it. A burst that meets an idle
 *    process, and requests that wait for a store, are not refused by this limit.
 */
import { performance } from 'node:perf_hooks';

/** How often the limit is adjusted, in milliseconds. */
const INTERVAL_MS = 100;
/** How long a request may wait for those before it, in milliseconds. */
const WAIT_MS = 25;
/** With a smaller limit, the combined read of one turn of the event loop would have too few keys to be efficient. */
const LEAST = 64;
/** From this utilization on, the event loop counts as saturated: work is waiting for it. */
const BUSY = 0.99;
/** An interval longer than this contained one long task, so it says nothing about requests. */
const STALL_MS = 5 * INTERVAL_MS;

/** Milliseconds for which the event loop has been idle, and active, since its start. */
export interface LoopTimes {
  readonly idle: number;
  readonly active: number;
}

/** Counts requests in flight and decides whether another one may enter. */
export class LoadLimit {
  inFlight = 0;
  /** Number of refused requests. */
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

  /** Whether the limit is reached, so that another request must be refused. */
  get isFull(): boolean {
    return this.inFlight >= this.#bound;
  }

  /** Counts a request that enters. */
  enter(): void {
    this.inFlight += 1;
  }

  /** Counts a request that was answered. */
  leave(): void {
    this.inFlight -= 1;
    this.#answered += 1;
  }

  /** Removes a request that will enter again in another part of the server. */
  withdraw(): void {
    this.inFlight -= 1;
  }

  /** Stops adjusting the limit. */
  close(): void {
    clearInterval(this.#timer);
  }

  /** Sets the limit by the work done since the last adjustment. */
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
