/**
 * From the text of a file or of stdin to events: one JSON object a line, or one JSON array.
 *
 * Invariant: integers keep every digit; beyond 2^53 they are bigint here.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { FStoreError } from '../errors.js';
import { parseEventJson } from '../materialization/event-decoder.js';

/** An event with the place where it was read. */
export interface ReadEvent {
  readonly event: unknown;
  /** Number of its line, from 1; of the whole array's first line for an array. */
  readonly line: number;
  /** Its index in an array; null for one event a line. */
  readonly index: number | null;
  /** Bytes of input up to its end; what a progress bar shows. */
  readonly bytes: number;
}

/** Where an event was read, in words. */
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

/** Opens a file, or stdin for `-`. */
export function openInput(path: string): Readable {
  return path === '-' ? process.stdin : createReadStream(path);
}

/** Reads events one by one. Throws EVENT_MALFORMED with the line. An array is read whole, as JSON demands. */
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
    // Only the first event may open an array; from here on it is one event a line.
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
