/**
 * Windows of time, the same in every engine: the end is exact, and the start (tail) is rounded down to a hop.
 *
 * A window (length W, hop h) at an instant t covers the events with `tailStart(t) ≤ event_time ≤ t`, both inclusive,
 * where `tailStart(t) = floor((t − W) / h) · h`. This is the sawtooth window of Chronon (Airbnb), with t included.
 *
 * Laws (times are integer milliseconds since 1970 UTC, and may be negative; a day always has 24 hours)
 * 1. W ≤ t − tailStart(t) < W + h: a window is never shorter than W, and less than one hop longer.
 * 2. `tailStart` never decreases: an event that has left a window never comes back.
 * 3. An event at time e is covered at t exactly when `e ≤ t < leavesAt(e)`.
 * 4. Tiles never straddle a tail: all events of a tile of width h (or a divisor of h) leave a window together.
 */
import { parseDuration } from './duration.js';
import type { ReadValue } from './value-type.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A read merges one tile for each hop of a window. This bounds the cost; a longer window needs a longer hop. */
const MAX_HOPS = 10_000;

/** A window of time. */
export interface Window {
  /** Milliseconds that the window covers. */
  readonly length: number;
  /** Milliseconds to which its tail is rounded. It divides `length`. */
  readonly hop: number;
}

/** Returns the default hop of a window: 5 minutes below 12 hours, 1 hour below 12 days, 1 day from there on. */
function defaultHop(length: number): number {
  if (length < 12 * HOUR) return 5 * MINUTE;
  return length < 12 * DAY ? HOUR : DAY;
}

/** Returns a window from durations such as `24h` and `1h`, or the reason why they are invalid. */
export function readWindow(length: string, hop?: string): ReadValue<Window> {
  const window = parseDuration(length);
  if (!window) return { ok: false, reason: `'${length}' is no duration such as 30d, 24h or 15m` };
  const step = hop === undefined ? defaultHop(window) : parseDuration(hop);
  if (!step) return { ok: false, reason: `'${hop}' is no duration such as 1d, 1h or 5m` };
  if (window % step !== 0) {
    const reason = `its hop of ${formatted(step)} does not divide the window of ${length}`;
    return { ok: false, reason: `${reason}: choose ${neighbours(window, step)}, or declare another hop` };
  }
  if (window / step > MAX_HOPS) {
    return { ok: false, reason: `a window has at most ${MAX_HOPS} hops, ${length} has ${window / step}` };
  }
  return { ok: true, value: { length: window, hop: step } };
}

function formatted(time: number): string {
  if (time % DAY === 0) return `${time / DAY}d`;
  if (time % HOUR === 0) return `${time / HOUR}h`;
  if (time % MINUTE === 0) return `${time / MINUTE}m`;
  return time % 1000 === 0 ? `${time / 1000}s` : `${time}ms`;
}

function neighbours(length: number, hop: number): string {
  const below = Math.floor(length / hop) * hop;
  return below ? `${formatted(below)} or ${formatted(below + hop)}` : formatted(hop);
}

/** Returns the start of the tile of width `hop` that contains an instant. */
export function tileStart(time: number, hop: number): number {
  return Math.floor(time / hop) * hop;
}

/** Returns the first instant that a window at `t` covers. */
export function tailStart(t: number, window: Window): number {
  return tileStart(t - window.length, window.hop);
}

/** Returns the first instant at which a window no longer covers an event of `eventTime`. */
export function leavesAt(eventTime: number, window: Window): number {
  return tileStart(eventTime, window.hop) + window.hop + window.length;
}
