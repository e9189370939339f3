/**
 * Writes JSON texts, one after the other, each in one pass, into large pieces of memory: a text is never moved once it is complete, and its
 * memory is used again when it is said to be free, else freed with the others of its piece. Writing never waits, so a process needs one writer.
 *
 * Fixed text is written four bytes at a time: it is short, and a call out of JavaScript costs more than the loop.
 */
export class JsonWriter {
  /** Where it is written; another one after `reserve`. */
  buffer!: Buffer;
  view!: DataView;
  /** How far it is written. */
  at = 0;
  #start = 0;

  constructor() {
    this.#use(PIECE);
  }

  /** Begins another text. */
  begin(): void {
    this.#start = this.at;
  }

  /** Makes room for `more` bytes. */
  reserve(more: number): void {
    if (this.at + more + SLACK <= this.buffer.length) return;
    const text = this.written();
    this.#use(Math.max(PIECE, 2 * (text.length + more + SLACK)));
    text.copy(this.buffer);
    this.#start = 0;
    this.at = text.length;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.at++] = value;
  }

  /** Writes fixed text. */
  fixed(text: FixedBytes): void {
    this.reserve(text.length);
    this.at = writeFixed(this.view, this.at, text);
  }

  /** Writes JSON text. */
  text(text: string): void {
    this.reserve(3 * text.length);
    this.at += this.buffer.write(text, this.at, 'utf8');
  }

  /** Writes a string as JSON. */
  string(value: string): void {
    this.reserve(2 + value.length);
    const { buffer } = this;
    let { at } = this;
    buffer[at++] = QUOTE;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH) {
        this.text(JSON.stringify(value));
        return;
      }
      buffer[at++] = code;
    }
    buffer[at++] = QUOTE;
    this.at = at;
  }

  /** What was written since `begin`. */
  written(): Buffer {
    return this.buffer.subarray(this.#start, this.at);
  }

  /** Says that nobody looks at the last text any more. */
  reuse(): void {
    this.at = this.#start;
  }

  #use(size: number): void {
    this.buffer = Buffer.allocUnsafeSlow(size);
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, size);
  }
}

/** Text that is known before anything is asked, as words of four bytes, the last one filled up. */
export class FixedBytes {
  readonly words: Int32Array;
  readonly length: number;

  constructor(text: string) {
    const bytes = Buffer.from(text);
    this.length = bytes.length;
    this.words = new Int32Array((bytes.length + 3) >> 2);
    const filled = Buffer.alloc(4 * this.words.length);
    bytes.copy(filled);
    for (let index = 0; index < this.words.length; index += 1) this.words[index] = filled.readInt32LE(4 * index);
  }
}

/** Writes fixed text to where there is room for it and 4 bytes more; returns where it ends. */
export function writeFixed(view: DataView, at: number, { words, length }: FixedBytes): number {
  for (let word = 0; word < words.length; word += 1) view.setInt32(at + 4 * word, words[word]!, true);
  return at + length;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const PIECE = 512 * 1024;
/** What the last word of a fixed text may write too much. */
const SLACK = 4;
