/**
 * Reads events from a file or stdin: one JSON object a line, or one JSON array.
 *
 * Invariant: integers keep every digit; beyond 2^53 they are bigints.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { FStoreError } from '../errors.js';
import { parseEventJson } from '../materialization/event-decoder.js';

/** An event, and its position in the input. */
export interface ReadEvent {
  readonly event: unknown;
  /** The number of its line, from 1. For an array, the number of the array's first line. */
  readonly line: number;
  /** Its index in the array; null if each line is an event. */
  readonly index: number | null;
  /** Bytes of input up to the end of the event, for the progress bar. */
  readonly bytes: number;
}

/** Returns the position of an event as text. */
export function placeOfEvent(name: string, { line, index }: Pick<ReadEvent, 'line' | 'index'>): string {
  return index === null ? `${name}:${line}` : `${name}: element ${index} of the array`;
}

function malformed(message: string, file: string, line: number): FStoreError {
  return new FStoreError('EVENT_MALFORMED', message, { file, line });
}

function parse(text: string, file: string, line: number): unknown {
  try {
    return parseEventJson(text);
  } catch (error) {
    throw malformed(`this is not JSON: ${(error as Error).message}`, file, line);
  }
}

/** Opens a file, or stdin if the path is `-`. */
export function openInput(path: string): Readable {
  return path === '-' ? process.stdin : createReadStream(path);
}

/** Reads events one by one. An array is read as a whole first. Throws EVENT_MALFORMED with the line. */
export async function* readEvents(input: Readable, name: string): AsyncGenerator<ReadEvent, void, void> {
  let line = 0;
  let bytes = 0;
  let array: string[] | null = null;
  let arrayLine = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1;
    bytes += Buffer.byteLength(text) + 1;
    if (array) {
      array.push(text);
      continue;
    }
    const content = line === 1 ? text.replace(/^\uFEFF/, '') : text;
    if (content.trim() === '') continue;
    if (arrayLine === 0 && content.trimStart().startsWith('[')) {
      array = [content];
      arrayLine = line;
      continue;
    }
    // Only the first event may open an array. After another first event, each line is one event.
    arrayLine = -1;
    yield { event: parse(content, name, line), line, index: null, bytes };
  }
  if (!array) return;
  const events = parse(array.join('\n'), name, arrayLine);
  if (!Array.isArray(events)) throw malformed('expected an array of events', name, arrayLine);
  for (const [index, event] of events.entries()) {
    yield { event, line: arrayLine, index, bytes: Math.round((bytes * (index + 1)) / events.length) };
  }
}
