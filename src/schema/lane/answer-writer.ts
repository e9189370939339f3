/** Bytes of one answer, written in one pass. Writing never waits, so a process needs one writer. */
export class AnswerWriter {
  buffer = Buffer.allocUnsafeSlow(65_536);
  at = 0;

  /** Begins another answer; what the one before wrote is gone. */
  begin(): void {
    this.at = 0;
    if (this.buffer.length > MAX_KEPT) this.buffer = Buffer.allocUnsafeSlow(65_536);
  }

  /** Makes room for `more` bytes. */
  reserve(more: number): void {
    if (this.at + more <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.at + more));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.at++] = value;
  }

  /** Copies bytes; they are few, and a loop is faster than a call out of JavaScript. */
  bytes(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    const { buffer } = this;
    let { at } = this;
    for (let index = 0; index < bytes.length; index += 1) buffer[at++] = bytes[index]!;
    this.at = at;
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

  /** What was written; it is overwritten by the next answer. */
  written(): Buffer {
    return this.buffer.subarray(0, this.at);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** A larger buffer is given back. */
const MAX_KEPT = 4 * 2 ** 20;
