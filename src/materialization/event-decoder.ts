/**
 * Decodes the bytes of an event to typed values, or to the reason why the event is unusable.
 *
 * Invariants
 * 1. An event is used as a whole or not at all.
 * 2. Numbers keep every digit: an integer beyond 2^53 in JSON text is read exactly.
 */
import { isLosslessNumber, parse as parseLossless } from 'lossless-json';
import { SUMMABLE_LIMIT } from '../definition/aggregate-function.js';
import type { SourceMeaning } from '../definition/definition-record.js';
import { type EntityKey, readKey } from '../definition/entity-key.js';
import { type FeatureValue, readValue, valueToJson } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { ErrorCode } from '../errors.js';
import { type PayloadFormat, UnreadablePayload } from './payload-format.js';

/** Limits that every event must respect. */
export interface EventLimits {
  /** How far an event time may lie in the future, in milliseconds. */
  readonly clockSkew: number;
  readonly maxBytes: number;
}

/** An event that its source and all views accept. `eventTime` is in milliseconds since 1970. */
export interface DecodedEvent {
  readonly eventTime: number;
  readonly columns: ReadonlyMap<string, FeatureValue>;
  /** The event's entity key in each view of the source, by the view's id. */
  readonly keys: ReadonlyMap<string, EntityKey>;
}

/** Why an event is unusable, and the column at fault (null if no single column is). */
export interface UnusableEvent {
  readonly code: ErrorCode;
  readonly message: string;
  readonly field: string | null;
}

export type DecodeResult =
  | { readonly ok: true; readonly event: DecodedEvent }
  | { readonly ok: false; readonly error: UnusableEvent };

/** What an event must conform to. */
export interface EventContract {
  readonly source: string;
  readonly meaning: SourceMeaning;
  readonly views: readonly ViewVersion[];
  readonly limits: EventLimits;
  /** The format of its payloads; null if they are JSON. */
  readonly format: PayloadFormat | null;
}

const LONG_NUMBER = /\d{16}/;

function unusable(code: ErrorCode, message: string, field: string | null = null): DecodeResult {
  return { ok: false, error: { code, message, field } };
}

function reviveNumber(text: string): number | bigint {
  if (!/^-?\d+$/.test(text)) return Number(text);
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** Parses JSON text; integers that a double cannot represent become bigint. Throws SyntaxError. */
export function parseEventJson(text: string): unknown {
  return LONG_NUMBER.test(text) ? parseLossless(text, null, { parseNumber: reviveNumber }) : JSON.parse(text);
}

/**
 * Decodes the bytes of an event from the bus. `contract.format` must have prepared for them. `now` is in milliseconds
 * since 1970.
 */
export function decodeEvent(bytes: Buffer, contract: EventContract, now: number): DecodeResult {
  if (bytes.length > contract.limits.maxBytes) {
    return unusable(
      'EVENT_TOO_LARGE',
      `the event has ${bytes.length} bytes, at most ${contract.limits.maxBytes} are allowed`,
    );
  }
  let input: unknown;
  try {
    input = contract.format
      ? contract.format.read(bytes)
      : parseEventJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof UnreadablePayload) return unusable(error.code, error.message);
    return unusable('EVENT_MALFORMED', `the event is not JSON: ${(error as Error).message}`);
  }
  return checkEvent(input, contract, now);
}

/** Checks a parsed event against its source and the views of that source. */
export function checkEvent(input: unknown, contract: EventContract, now: number): DecodeResult {
  const { meaning, source, views, limits } = contract;
  if (typeof input !== 'object' || input === null || Array.isArray(input) || isLosslessNumber(input)) {
    return unusable('EVENT_MALFORMED', 'the event is not a JSON object');
  }
  for (const field of Object.keys(input)) {
    if (!Object.hasOwn(meaning.schema, field)) {
      const shown = field.length > 80 ? `${field.slice(0, 80)}…` : field;
      return unusable('EVENT_FIELD_UNKNOWN', `source ${source} has no column ${shown}`, shown);
    }
  }
  const columns = new Map<string, FeatureValue>();
  for (const [column, type] of Object.entries(meaning.schema)) {
    const raw = (input as Record<string, unknown>)[column];
    const read = readValue(type, raw);
    if (!read.ok) return unusable('EVENT_FIELD_TYPE', `column ${column} is ${type}: ${read.reason}`, column);
    columns.set(column, read.value);
  }
  const eventTime = columns.get(meaning.timestamp);
  if (typeof eventTime !== 'number') {
    return unusable('EVENT_TIME_MISSING', `the event has no ${meaning.timestamp}`, meaning.timestamp);
  }
  if (eventTime > now + limits.clockSkew) {
    const ahead = Math.round((eventTime - now) / 1000);
    const message = `${meaning.timestamp} lies ${ahead} s ahead; at most ${limits.clockSkew / 1000} s are allowed`;
    return unusable('EVENT_FROM_THE_FUTURE', message, meaning.timestamp);
  }
  const keys = new Map<string, EntityKey>();
  for (const view of views) {
    for (const { column, summed } of view.columns) {
      if (!summed || Math.abs((columns.get(column) as number | null) ?? 0) <= SUMMABLE_LIMIT) continue;
      const message = `column ${column} is added up by view ${view.name}, which takes numbers up to ±1e100`;
      return unusable('EVENT_FIELD_TYPE', message, column);
    }
    const read = readKey(
      view.keys.map((key) => key.type),
      view.keys.map((key) => columns.get(key.column) ?? null),
    );
    if (read.ok) keys.set(view.id, read.key);
    else {
      const column = view.keys[read.part]?.column ?? '';
      const empty = columns.get(column) === null || columns.get(column) === '';
      const message = `join key ${column} of view ${view.name} cannot be used: ${read.reason}`;
      return unusable(empty ? 'EVENT_KEY_MISSING' : 'KEY_INVALID', message, column);
    }
  }
  return { ok: true, event: { eventTime, columns, keys } };
}

/** Returns the row of a decoded event in a view. */
export function rowOf(
  event: DecodedEvent,
  view: ViewVersion,
): { key: EntityKey; eventTime: number; values: FeatureValue[] } {
  return {
    key: event.keys.get(view.id)!,
    eventTime: event.eventTime,
    values: view.columns.map((one) => event.columns.get(one.column) ?? null),
  };
}

/** Returns the canonical JSON text of a decoded event, as the event log stores it. */
export function eventJson(event: DecodedEvent, meaning: SourceMeaning): string {
  const fields: Record<string, unknown> = {};
  for (const [column, value] of event.columns) {
    const type = meaning.schema[column];
    if (type && value !== null) fields[column] = valueToJson(type, value);
  }
  return JSON.stringify(fields);
}
