/**
 * Splits CSV (RFC 4180) into records, chunk by chunk.
 *
 * A parser of our own: who reads a spine must tell an empty cell, which is null, from an empty text in quotes, and the library that can
 * say so calls back for every cell with a record of where it is, at ten times the cost (bench/point-in-time).
 */

/** A cell: its text, or null for an empty one without quotes. */
export type CsvCell = string | null;

export class CsvParser {
  #text = '';
  #ended = false;
  #line = 1;

  /** Adds text; `last` says that no more comes. */
  push(text: string, last: boolean): void {
    this.#text += text;
    this.#ended = last;
  }

  /** The records that are complete by now. Empty lines are passed over. Throws SyntaxError with the line. */
  *records(): Generator<CsvCell[]> {
    let at = 0;
    for (;;) {
      const read = this.#readRecord(at);
      if (!read) break;
      at = read.next;
      if (read.cells.length > 1 || read.cells[0] !== null) yield read.cells;
    }
    this.#text = this.#text.slice(at);
  }

  #readRecord(start: number): { cells: CsvCell[]; next: number } | null {
    const text = this.#text;
    if (start >= text.length) return null;
    const cells: CsvCell[] = [];
    let at = start;
    let lines = 1;
    for (;;) {
      let cell: CsvCell;
      if (text.charCodeAt(at) === QUOTE) {
        const quoted = this.#readQuoted(at);
        if (!quoted) return null;
        cell = quoted.cell;
        at = quoted.next;
        lines += quoted.breaks;
      } else {
        let end = at;
        for (; end < text.length; end += 1) {
          const code = text.charCodeAt(end);
          if (code === COMMA || code === NEWLINE || code === RETURN) break;
        }
        cell = end === at ? null : text.slice(at, end);
        at = end;
      }
      cells.push(cell);
      if (at >= text.length) {
        if (!this.#ended) return null;
        this.#line += lines;
        return { cells, next: at };
      }
      const code = text.charCodeAt(at);
      if (code === COMMA) {
        at += 1;
        // A comma at the very end has an empty cell behind it.
        if (at === text.length && this.#ended) {
          cells.push(null);
          return { cells, next: at };
        }
        continue;
      }
      if (code === RETURN && at + 1 === text.length && !this.#ended) return null;
      if (code !== RETURN && code !== NEWLINE) throw new SyntaxError(`line ${this.#line}: text after a closing quote`);
      this.#line += lines;
      return { cells, next: at + (code === RETURN && text.charCodeAt(at + 1) === NEWLINE ? 2 : 1) };
    }
  }

  #readQuoted(start: number): { cell: string; next: number; breaks: number } | null {
    const text = this.#text;
    let from = start + 1;
    for (;;) {
      const end = text.indexOf('"', from);
      // The quote may close, or be the first of two, which the next chunk tells.
      if (end < 0 || (end + 1 === text.length && !this.#ended)) {
        if (this.#ended) throw new SyntaxError(`line ${this.#line}: a quote is never closed`);
        return null;
      }
      if (text.charCodeAt(end + 1) !== QUOTE) {
        const inside = text.slice(start + 1, end);
        const breaks = inside.includes('\n') ? inside.split('\n').length - 1 : 0;
        return { cell: inside.includes('"') ? inside.replaceAll('""', '"') : inside, next: end + 1, breaks };
      }
      from = end + 2;
    }
  }
}

const QUOTE = 34;
const COMMA = 44;
const NEWLINE = 10;
const RETURN = 13;
