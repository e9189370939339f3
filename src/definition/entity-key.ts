/**
 * The key of one entity: its join key values in canonical text, in the order that the entity declares.
 *
 * Invariants
 * 1. Two keys identify the same entity if and only if their texts are equal: `007` and `7` are the same INT64.
 * 2. Composite keys are unambiguous: (1,23) and (12,3) have different texts.
 */
import type { KeyType } from './value-type.js';
import { readValue } from './value-type.js';

const MAX_KEY_BYTES = 512;
/** Limit of all parts together: a PostgreSQL index entry holds at most 2,704 bytes, including the times. */
const MAX_COMPOSITE_BYTES = 2_048;

/** The key of one entity. `parts` are its join key values as text; `text` joins them without ambiguity. */
export interface EntityKey {
  readonly parts: readonly string[];
  readonly text: string;
}

/** The result of reading a key: the key, or the index of the wrong part and the reason. */
export type ReadKey =
  | { readonly ok: true; readonly key: EntityKey }
  | { readonly ok: false; readonly part: number; readonly reason: string };

function escapePart(part: string): string {
  return part.includes('|') || part.includes('\\') ? part.replace(/[\\|]/g, '\\$&') : part;
}

/** Builds a key from canonical parts, as `readKey` or a store returns them. */
export function entityKey(parts: readonly string[]): EntityKey {
  return { parts, text: parts.length === 1 ? escapePart(parts[0]!) : parts.map(escapePart).join('|') };
}

/** Returns true for text that is its own canonical form: short printable ASCII without `|` and `\`. */
function isPlain(text: string): boolean {
  if (text.length === 0 || text.length > MAX_KEY_BYTES) return false;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code > 0x7e || code === 0x7c || code === 0x5c) return false;
  }
  return true;
}

/** A key of one part. It stores only its text, because a request may hold long lists of keys. */
class PlainKey implements EntityKey {
  constructor(readonly text: string) {}

  get parts(): readonly string[] {
    return [this.text];
  }
}

function isOwnText(types: readonly KeyType[], input: unknown): input is string {
  return types.length === 1 && types[0] === 'STRING' && typeof input === 'string' && isPlain(input);
}

/** Returns the key if the input is a STRING key in canonical form; null if `readKey` has to read it. */
export function readPlainKey(types: readonly KeyType[], input: unknown): EntityKey | null {
  return isOwnText(types, input) ? new PlainKey(input) : null;
}

/** Reads join key values (JSON, one for each type) as a key. On failure returns which part is wrong, and why. */
export function readKey(types: readonly KeyType[], inputs: readonly unknown[]): ReadKey {
  const [only] = inputs;
  if (isOwnText(types, only)) return { ok: true, key: { parts: [only], text: only } };
  const parts: string[] = [];
  let bytes = 0;
  for (const [part, type] of types.entries()) {
    const input = inputs[part];
    if (input === null || input === undefined || input === '') return { ok: false, part, reason: 'it is empty' };
    const lenient = type === 'INT32' && typeof input === 'string' && /^-?\d{1,11}$/.test(input) ? Number(input) : input;
    const read = readValue(type, type === 'STRING' && typeof input === 'number' ? `${input}` : lenient);
    if (!read.ok) return { ok: false, part, reason: read.reason };
    const text = `${read.value as string | number | bigint}`;
    if (Buffer.byteLength(text) > MAX_KEY_BYTES) {
      return { ok: false, part, reason: `it is longer than ${MAX_KEY_BYTES} bytes` };
    }
    parts.push(text);
    bytes += Buffer.byteLength(text);
    if (bytes > MAX_COMPOSITE_BYTES) {
      return { ok: false, part, reason: `the parts of the key are longer than ${MAX_COMPOSITE_BYTES} bytes together` };
    }
  }
  return { ok: true, key: entityKey(parts) };
}
