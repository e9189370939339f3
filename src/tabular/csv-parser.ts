/**
 * Splits CSV (RFC 4180) into records, piece by piece.
 *
 * FStore parses CSV itself because a spine distinguishes an empty cell, which is null, from an empty text in quotes. The library that
 * tells them apart calls back for every cell with a record of its position, at ten times the cost (bench/point-in-time).
 *
 * Invariants
 * 1. No character is looked at twice, in whatever pieces the text comes.
 * 2. The parser holds at most one unfinished record, whose size is limited.
 */
import { TABLE_LIMITS } from './table-limit.js';

/** A cell: its text, or null for an empty one without quotes. */
export type CsvCell = string | null;

/** A record is over a limit; the message says which. */
export class CsvLimitError extends Error {}

type State = 'before' | 'plain' | 'quoted' | 'after';

export class CsvParser {
  #text = '';
  #ended = false;
  #line = 1;
  /** What is known of the record that is not complete yet. */
  #cells: CsvCell[] = [];
  #characters = 0;
  #state: State = 'before';
  /** Where the current cell begins, and where reading goes on. */
  #start = 0;
  #at = 0;

  /** Adds text; `last` says that no more comes. */
  push(text: string, last: boolean): void {
    this.#text = this.#text.slice(this.#start) + text;
    this.#at -= this.#start;
    this.#start = 0;
    this.#ended = last;
  }

  /** The records that are complete by now, without empty lines. Throws SyntaxError with the line, or CsvLimitError. */
  *records(): Generator<CsvCell[]> {
    for (;;) {
      if (!this.#readRecord()) return;
      const cells = this.#cells;
      this.#cells = [];
      this.#characters = 0;
      if (cells.length > 1 || cells[0] !== null) yield cells;
    }
  }

  /** Goes on until a record is complete (true), or the text ends (false). */
  #readRecord(): boolean {
    for (;;) {
      if (this.#state === 'before' && !this.#enterCell()) return this.#endsWithComma();
      if (this.#state === 'plain' && !this.#readPlain()) return false;
      if (this.#state === 'quoted' && !this.#readQuoted()) return false;
      const left = this.#leaveCell();
      if (left !== null) return left;
    }
  }

  #enterCell(): boolean {
    this.#start = this.#at;
    if (this.#at >= this.#text.length) return false;
    const isQuoted = this.#text.charCodeAt(this.#at) === QUOTE;
    this.#state = isQuoted ? 'quoted' : 'plain';
    if (isQuoted) this.#at += 1;
    return true;
  }

  /** A comma at the very end has an empty cell behind it. */
  #endsWithComma(): boolean {
    if (!this.#ended || this.#cells.length === 0) return false;
    this.#cells.push(null);
    return true;
  }

  #readPlain(): boolean {
    const text = this.#text;
    let end = this.#at;
    for (; end < text.length; end += 1) {
      const code = text.charCodeAt(end);
      if (code === COMMA || code === NEWLINE || code === RETURN) break;
    }
    this.#at = end;
    if (end === text.length && !this.#ended) return this.#mustGrow();
    this.#add(end === this.#start ? null : text.slice(this.#start, end));
    return true;
  }

  #readQuoted(): boolean {
    const text = this.#text;
    for (;;) {
      const end = text.indexOf('"', this.#at);
      if (end < 0 || (end + 1 === text.length && !this.#ended)) {
        if (this.#ended) throw new SyntaxError(`line ${this.#line}: a quote is never closed`);
        // The quote at the end may close, or be the first of two, which the next piece tells.
        this.#at = end < 0 ? text.length : end;
        return this.#mustGrow();
      }
      if (text.charCodeAt(end + 1) !== QUOTE) {
        const inside = text.slice(this.#start + 1, end);
        if (inside.includes('\n')) this.#line += inside.split('\n').length - 1;
        this.#at = end + 1;
        this.#add(inside.includes('"') ? inside.replaceAll('""', '"') : inside);
        return true;
      }
      this.#at = end + 2;
    }
  }

  /** Takes what is behind a cell: true at the end of a record, false where the text ends, null before another cell. */
  #leaveCell(): boolean | null {
    const text = this.#text;
    this.#start = this.#at;
    if (this.#at >= text.length) {
      if (!this.#ended) return false;
      this.#line += 1;
      this.#state = 'before';
      return true;
    }
    const code = text.charCodeAt(this.#at);
    if (code === COMMA) {
      this.#at += 1;
      this.#state = 'before';
      return null;
    }
    if (code === RETURN && this.#at + 1 === text.length && !this.#ended) return false;
    if (code !== RETURN && code !== NEWLINE) throw new SyntaxError(`line ${this.#line}: text after a closing quote`);
    this.#line += 1;
    this.#at += code === RETURN && text.charCodeAt(this.#at + 1) === NEWLINE ? 2 : 1;
    this.#start = this.#at;
    this.#state = 'before';
    return true;
  }

  #add(cell: CsvCell): void {
    this.#state = 'after';
    this.#cells.push(cell);
    if (this.#cells.length > TABLE_LIMITS.columns) this.#refuse(`has more than ${TABLE_LIMITS.columns} columns`);
    if (cell === null) return;
    this.#check(cell.length);
    this.#characters += cell.length;
  }

  #mustGrow(): false {
    this.#check(this.#text.length - this.#start);
    return false;
  }

  #check(length: number): void {
    const { cell, record } = TABLE_LIMITS;
    if (length > cell) this.#refuse(`has a cell of more than ${cell} characters`);
    if (this.#characters + length > record) this.#refuse(`has a record of more than ${record} characters`);
  }

  #refuse(what: string): never {
    throw new CsvLimitError(`${what} (line ${this.#line})`);
  }
}

const QUOTE = 34;
const COMMA = 44;
const NEWLINE = 10;
const RETURN = 13;
