/**
 * Writes JSON texts, one after the other, each in one pass, into large buffers. A complete text is never moved. Its
 * memory is reused after `reuse`, and otherwise freed with the other texts of its buffer. Writing is synchronous, so a
 * process needs only one writer.
 *
 * Fixed text is written four bytes at a time: it is short, and a native call costs more than the loop.
 */
export class JsonWriter {
  /** The current buffer; `reserve` may replace it. */
  buffer!: Buffer;
  view!: DataView;
  /** The offset of the next byte in the buffer. */
  at = 0;
  #start = 0;

  constructor() {
    this.#use(PIECE);
  }

  /** Begins another text. */
  begin(): void {
    this.#start = this.at;
  }

  /** Ensures that there is space for `more` bytes. */
  reserve(more: number): void {
    if (this.at + more + SLACK <= this.buffer.length) return;
    const text = this.written();
    this.#use(Math.max(PIECE, 2 * (text.length + more + SLACK)));
    text.copy(this.buffer);
    this.#start = 0;
    this.at = text.length;
  }

  /** Writes one byte. */
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

  /** Returns the bytes written since `begin`. */
  written(): Buffer {
    return this.buffer.subarray(this.#start, this.at);
  }

  /** Releases the memory of the last text, which nobody may read any more. */
  reuse(): void {
    this.at = this.#start;
  }

  #use(size: number): void {
    this.buffer = Buffer.allocUnsafeSlow(size);
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, size);
  }
}

/** Text that is known in advance, as words of four bytes; the last word is padded. */
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

/**
 * Writes fixed text at offset `at`, where the buffer must have space for it and 4 bytes more. Returns the offset of its
 * end.
 */
export function writeFixed(view: DataView, at: number, { words, length }: FixedBytes): number {
  for (let word = 0; word < words.length; word += 1) view.setInt32(at + 4 * word, words[word]!, true);
  return at + length;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const PIECE = 512 * 1024;
/** How many bytes the last word of a fixed text may write beyond its end. */
const SLACK = 4;
