/**
 * The one SELECT that a text of a user is to be, as far as its tokens tell.
 *
 * It makes messages kind and takes off what may follow a statement. It is no guard: PostgreSQL parses what it returns, alone, and has the
 * last word about it.
 */
import { FStoreError } from '../errors.js';

const MAX_LENGTH = 100_000;
const DOLLAR = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;
const WORD = /[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y;
const BEGINNINGS = new Set(['select', 'with', 'values', 'table']);

const refused = (message: string): FStoreError => new FStoreError('BAD_REQUEST', message, { field: 'query' });

/**
 * The text without semicolons and comments behind its statement.
 * Throws BAD_REQUEST for a text that is too long, holds U+0000 or several statements, or begins as another statement than a SELECT.
 */
export function selectText(text: string): string {
  if (text.length > MAX_LENGTH)
    throw refused(`a query has at most ${MAX_LENGTH} characters; this one has ${text.length}`);
  if (text.includes('\u0000')) throw refused('a query may not hold the character U+0000');
  let beginning: string | null = null;
  let [at, end, isOver] = [0, 0, false];
  while (at < text.length) {
    const next = tokenEnd(text, at);
    const isBlank = /\s/.test(text[at]!) || text.startsWith('--', at) || text.startsWith('/*', at);
    if (text[at] === ';') isOver ||= end > 0;
    else if (!isBlank) {
      if (isOver) throw refused('a query is one statement; this text goes on behind a semicolon');
      if (text[at] !== '(') beginning ??= text.slice(at, next).toLowerCase();
      end = next;
    }
    at = next;
  }
  if (beginning === null || !BEGINNINGS.has(beginning)) {
    throw refused('a query is one SELECT: it begins with SELECT, WITH, VALUES or TABLE');
  }
  return text.slice(0, end);
}

/** Where the token ends that begins at `at`; one that has no end goes on to the end of the text. */
function tokenEnd(text: string, at: number): number {
  const after = (mark: string, from: number): number => {
    const found = text.indexOf(mark, from);
    return found < 0 ? text.length : found + mark.length;
  };
  const one = text[at]!;
  if (one === "'" || one === '"') return after(one, at + 1);
  if (text.startsWith('--', at)) return after('\n', at);
  if (text.startsWith('/*', at)) return commentEnd(text, at);
  if (/[eE]/.test(one) && text[at + 1] === "'") return escapedEnd(text, at + 2);
  DOLLAR.lastIndex = at;
  const [tag] = DOLLAR.exec(text) ?? [];
  if (tag) return after(tag, at + tag.length);
  WORD.lastIndex = at;
  const [word] = WORD.exec(text) ?? [];
  return at + (word?.length ?? 1);
}

/** Comments may hold comments. */
function commentEnd(text: string, start: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(text); mark; mark = marks.exec(text)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return text.length;
}

/** In E'…' a backslash takes the next character along. */
function escapedEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at += text[at] === '\\' ? 2 : 1) if (text[at] === "'") return at + 1;
  return text.length;
}
