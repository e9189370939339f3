/**
 * What the bodies of one program have in common: all but their variables. A body that begins and ends as one before need not be parsed, and
 * the operation that it names is known.
 *
 * Invariants
 * 1. A frame's start, any JSON value and its end are together a JSON text of the frame's operation with these variables: a body between
 *    whose start and end JSON is found is read as JSON.parse reads the whole.
 * 2. At most MAX_FRAMES are kept: the ones that are met, the most frequent first.
 */
import type { OperationNaming } from '../registered-operations.js';

/** A request's body, parsed. */
export interface OperationBody extends OperationNaming {
  readonly operationName?: unknown;
  readonly variables?: unknown;
  readonly [other: string]: unknown;
}

/** More than this are not looked through for each request. */
const MAX_FRAMES = 16;
/** When there are so many, only each so manyth other body is learned. */
const LEARNING_INTERVAL = 256;
const VARIABLES = '"variables"';

export interface BodyFrame<Operation> {
  readonly start: Buffer;
  readonly end: Buffer;
  readonly operation: Operation;
}

export class BodyFrames<Operation> {
  #frames: BodyFrame<Operation>[] = [];
  #unlearned = 0;

  /** The frame of a body, if there is one. */
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

  /** Remembers the frame of a body that was parsed, unless it has a form that no program writes. */
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

  forget(): void {
    this.#frames = [];
  }
}

function isAround({ start, end }: BodyFrame<unknown>, bytes: Buffer): boolean {
  const room = bytes.length - end.length;
  // One byte tells most frames apart.
  const middle = start.length >> 1;
  if (room < start.length || bytes[middle] !== start[middle]) return false;
  if (bytes.compare(start, 0, start.length, 0, start.length) !== 0) return false;
  if (end.length === 1) return bytes[room] === end[0];
  return bytes.compare(end, 0, end.length, room, bytes.length) === 0;
}

/** What stands before and behind the variables of a body; null where that is not sure. */
function frameOf(bytes: Buffer, body: OperationBody): { readonly start: Buffer; readonly end: Buffer } | null {
  if (body.variables === undefined) return null;
  const text = bytes.toString('latin1');
  const name = text.indexOf(VARIABLES);
  const from = name + VARIABLES.length + (/^\s*:\s*/.exec(text.slice(name + VARIABLES.length))?.[0].length ?? 0);
  const to = endOfValue(text, from);
  if (name < 0 || to === null) return null;
  const [start, end] = [bytes.subarray(0, from), bytes.subarray(to)];
  // Where another value can stand is seen by putting one there.
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

/** Where the object or list that begins at `from` ends; null if none begins there. */
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
