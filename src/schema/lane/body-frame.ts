/**
 * Frames: the parts that the bodies of one client program share, which is everything except the variables. A body that
 * starts and ends like a known frame need not be parsed, and its operation is known.
 *
 * Invariants
 * 1. A frame's start, any JSON value and the frame's end form a JSON text of the frame's operation with that value as
 *    variables. So reading only the value gives the same result as JSON.parse of the whole body.
 * 2. At most MAX_FRAMES are kept. Frames that match move forward, so the most frequent come first.
 */
import type { OperationNaming } from '../registered-operations.js';

/** The parsed body of a request. */
export interface OperationBody extends OperationNaming {
  readonly operationName?: unknown;
  readonly variables?: unknown;
  readonly [other: string]: unknown;
}

/** Maximum number of frames that are compared with each request. */
const MAX_FRAMES = 16;
/** When all frames are in use, only one of this many unknown bodies is learned. */
const LEARNING_INTERVAL = 256;
const VARIABLES = '"variables"';

/** The bytes before and after the variables of an operation's bodies. */
export interface BodyFrame<Operation> {
  readonly start: Buffer;
  readonly end: Buffer;
  readonly operation: Operation;
}

/** The known frames of one published schema. */
export class BodyFrames<Operation> {
  #frames: BodyFrame<Operation>[] = [];
  #unlearned = 0;

  /** Returns the frame of a body, or null if there is none. */
  find(bytes: Buffer): BodyFrame<Operation> | null {
    const frames = this.#frames;
    for (let index = 0; index < frames.length; index += 1) {
      const frame = frames[index]!;
      if (!isAround(frame, bytes)) continue;
      if (index > 0) {
        frames[index] = frames[index - 1]!;
        frames[index - 1] = frame;
      }
      return frame;
    }
    return null;
  }

  /** Learns the frame of a parsed body, unless its form is unusual. */
  learn(bytes: Buffer, body: OperationBody, operation: Operation): void {
    if (this.#frames.length >= MAX_FRAMES) {
      this.#unlearned = (this.#unlearned + 1) % LEARNING_INTERVAL;
      if (this.#unlearned > 0) return;
    }
    const around = frameOf(bytes, body);
    if (!around) return;
    if (this.#frames.length >= MAX_FRAMES) this.#frames.pop();
    this.#frames.push({ ...around, operation });
  }

  /** Drops all frames. */
  forget(): void {
    this.#frames = [];
  }
}

function isAround({ start, end }: BodyFrame<unknown>, bytes: Buffer): boolean {
  const room = bytes.length - end.length;
  // Comparing one byte in the middle rules most frames out.
  const middle = start.length >> 1;
  if (room < start.length || bytes[middle] !== start[middle]) return false;
  if (bytes.compare(start, 0, start.length, 0, start.length) !== 0) return false;
  if (end.length === 1) return bytes[room] === end[0];
  return bytes.compare(end, 0, end.length, room, bytes.length) === 0;
}

/** Returns the bytes before and after the variables of a body; null if they cannot be determined with certainty. */
function frameOf(bytes: Buffer, body: OperationBody): { readonly start: Buffer; readonly end: Buffer } | null {
  if (body.variables === undefined) return null;
  const text = bytes.toString('latin1');
  const name = text.indexOf(VARIABLES);
  const from = name + VARIABLES.length + (/^\s*:\s*/.exec(text.slice(name + VARIABLES.length))?.[0].length ?? 0);
  const to = endOfValue(text, from);
  if (name < 0 || to === null) return null;
  const [start, end] = [bytes.subarray(0, from), bytes.subarray(to)];
  // Insert another value to prove that these bytes surround the variables.
  const other: unknown = parse(`${start}${JSON.stringify(PROBE)}${end}`);
  const isSure = JSON.stringify(other) === JSON.stringify({ ...body, variables: PROBE });
  return isSure ? { start: Buffer.from(start), end: Buffer.from(end) } : null;
}

const PROBE = { 'another value': true };

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Returns the end of the object or list that begins at `from`; null if none begins there. */
function endOfValue(text: string, from: number): number | null {
  let depth = 0;
  let inText = false;
  for (let at = from; at < text.length; at += 1) {
    const character = text[at]!;
    if (inText) {
      if (character === '\\') at += 1;
      else if (character === '"') inText = false;
    } else if (character === '"') inText = true;
    else if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') depth -= 1;
    if (depth === 0) return at > from ? at + 1 : null;
  }
  return null;
}
