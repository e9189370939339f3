/**
 * Writes JSON texts, one after the other, each in one pass, into large buffers. A complete text is never moved. Its
 * memory is reused after `reuse`, and otherwise freed with the other texts of its buffer. Writing is synchronous, so a
 * process needs only one writer.
 *
 * Fixed text is written four bytes at a time: it is short, and a call out of JavaScript costs more than the loop.
 *
 * Invariants
 * 1. A text of more bytes than the limit throws AnswerTooLarge before more than about one value beyond the limit is written.
 * 2. No state of one text survives into the next, whatever writing threw: `begin` drops an unfinished text and a piece larger than PIECE.
 */
export class JsonWriter {
  /** The current buffer; `reserve` may replace it. */
  buffer!: Buffer;
  view!: DataView;
  /** The offset of the next byte in the buffer. */
  at = 0;
  #start = 0;
  readonly #limit: number;

  /** `limit`: the most bytes that a text may have. */
  constructor(limit = Number.MAX_SAFE_INTEGER) {
    this.#limit = limit;
    this.#use(PIECE);
  }

  /** Begins another text. */
  begin(): void {
    if (this.buffer.length > PIECE) this.#use(PIECE);
    this.#start = this.at;
  }

  /** Makes room for `more` bytes. Throws AnswerTooLarge if the text is larger than the limit already. */
  reserve(more: number): void {
    if (this.at + more + SLACK <= this.buffer.length) return;
    const text = this.#text();
    this.#check(text.length);
    const needed = text.length + more + SLACK;
    // Twice as much as is needed now, so that a long text is moved a few times only; but not for more than the limit.
    this.#use(Math.max(PIECE, needed, Math.min(2 * needed, this.#limit)));
    this.at = text.copy(this.buffer);
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

  /** Writes JSON text. Throws AnswerTooLarge. */
  text(text: string): void {
    const isLong = text.length > LONG_TEXT;
    const room = isLong ? Buffer.byteLength(text) : 3 * text.length;
    if (isLong) this.#check(this.at - this.#start + room);
    this.reserve(room);
    const written = this.buffer.write(text, this.at, room, 'utf8');
    if (written < text.length)
      throw new RangeError(`${written} bytes of a text of ${text.length} characters were written`);
    this.at += written;
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

  /** The bytes that were written since `begin`. Throws AnswerTooLarge. */
  written(): Buffer {
    this.#check(this.at - this.#start);
    return this.#text();
  }

  /** Frees the memory of the last text. The caller must not read that text any more. */
  reuse(): void {
    this.at = this.#start;
    if (this.buffer.length > PIECE) this.#use(PIECE);
  }

  #text(): Buffer {
    return this.buffer.subarray(this.#start, this.at);
  }

  #check(length: number): void {
    if (length > this.#limit) throw new AnswerTooLarge(`${length} bytes are more than ${this.#limit}`);
  }

  #use(size: number): void {
    this.buffer = Buffer.allocUnsafeSlow(size);
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, size);
    this.at = 0;
    this.#start = 0;
  }
}

/** Thrown when a text would be larger than the writer's limit. */
export class AnswerTooLarge extends Error {}

/** Text that is fixed when an operation is compiled, as words of four bytes. The last word is padded with zeros. */
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
/** Characters from which the bytes of a text are counted before it is written, instead of taking three for each. */
const LONG_TEXT = 1_024;
/** How many bytes the last word of a fixed text may write beyond its end. */
const SLACK = 4;
