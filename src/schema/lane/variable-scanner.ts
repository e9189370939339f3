/**
 * Reads the variables of a request where they are what nearly all are: texts, lists of texts, and lists of flat objects of texts.
 * JSON.parse takes a third of a microsecond for each text of a list, because it looks for it among all texts of the process first.
 *
 * Invariants
 * 1. What is read is what JSON.parse reads, but for members with names that were not asked for: with one of them nothing is read.
 * 2. Whatever else a JSON text may hold (numbers, escapes, characters beyond ASCII) is not read but left to JSON.parse.
 */
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Where reading stands. Reading never waits, so one is enough. */
let place = 0;

/** The first character that is no space, where `place` is then. */
function skipSpaces(text: string): number {
  for (;;) {
    const code = text.charCodeAt(place);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code;
    place += 1;
  }
}

/** The text whose opening quote is at `place`; null if it is none, or not a plain one. */
function scanText(text: string): string | null {
  if (text.charCodeAt(place) !== QUOTE) return null;
  const start = place + 1;
  for (let at = start; ; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      place = at + 1;
      return text.slice(start, at);
    }
    // Behind the end it is NaN, which is no character either.
    if (!(code >= 0x20 && code <= 0x7e) || code === BACKSLASH) return null;
  }
}

/** True if the name at `place` is this one; `place` is behind it then. */
function isName(text: string, name: string): boolean {
  const end = place + 1 + name.length;
  if (text.charCodeAt(place) !== QUOTE || text.charCodeAt(end) !== QUOTE) return false;
  for (let index = 0; index < name.length; index += 1) {
    if (text.charCodeAt(place + 1 + index) !== name.charCodeAt(index)) return false;
  }
  place = end + 1;
  return true;
}

/** Moves `place` to the value behind the colon. */
function skipColon(text: string): boolean {
  if (skipSpaces(text) !== COLON) return false;
  place += 1;
  skipSpaces(text);
  return true;
}

/** Moves `place` behind a comma to what follows, or behind `close`; null if there is neither. */
function more(text: string, close: number): boolean | null {
  const code = skipSpaces(text);
  if (code !== COMMA && code !== close) return null;
  place += 1;
  if (code === close) return false;
  skipSpaces(text);
  return true;
}

/** Names that objects of a list had before: the next object has the same, and a text that is known need not be made again. */
const names: string[] = [];
const MAX_NAMES = 16;

function scanName(text: string, position: number): string | null {
  const known = names[position];
  if (known !== undefined && isName(text, known)) return known;
  const name = scanText(text);
  if (name === null || name === '__proto__' || position >= MAX_NAMES) return null;
  names[position] = name;
  return name;
}

/** The object of texts at `place`. */
function scanObject(text: string): Record<string, string> | null {
  const object: Record<string, string> = {};
  place += 1;
  if (skipSpaces(text) === CLOSE_OBJECT) return null;
  for (let position = 0; ; position += 1) {
    const name = scanName(text, position);
    if (name === null || !skipColon(text)) return null;
    const value = scanText(text);
    if (value === null) return null;
    object[name] = value;
    const follows = more(text, CLOSE_OBJECT);
    if (follows === null) return null;
    if (!follows) return object;
  }
}

/** The list of texts, or of objects of texts, at `place`. */
function scanList(text: string): (string | Record<string, string>)[] | null {
  const list: (string | Record<string, string>)[] = [];
  place += 1;
  if (skipSpaces(text) === CLOSE_LIST) {
    place += 1;
    return list;
  }
  for (;;) {
    const item = text.charCodeAt(place) === OPEN_OBJECT ? scanObject(text) : scanText(text);
    if (item === null) return null;
    list.push(item);
    const follows = more(text, CLOSE_LIST);
    if (follows === null) return null;
    if (!follows) return list;
  }
}

/** The variables of a JSON text, each character of which is a byte of it (Latin-1); null if it is to be read by JSON.parse. */
export function scanVariables(text: string, variableNames: readonly string[]): Record<string, unknown> | null {
  const variables: Record<string, unknown> = {};
  place = 0;
  if (text.charCodeAt(0) !== OPEN_OBJECT) return null;
  place = 1;
  if (skipSpaces(text) === CLOSE_OBJECT) return place + 1 === text.length ? variables : null;
  for (;;) {
    let name: string | null = null;
    for (let index = 0; index < variableNames.length && name === null; index += 1) {
      if (isName(text, variableNames[index]!)) name = variableNames[index]!;
    }
    if (name === null || !skipColon(text)) return null;
    const value = text.charCodeAt(place) === OPEN_LIST ? scanList(text) : scanText(text);
    if (value === null) return null;
    variables[name] = value;
    const follows = more(text, CLOSE_OBJECT);
    if (follows === null) return null;
    if (!follows) return place === text.length ? variables : null;
  }
}
