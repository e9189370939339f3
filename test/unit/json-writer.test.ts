/** The writer of the fast lane's answers: its bound, and that nothing of one answer reaches the next. */
import { describe, expect, test } from '@jest/globals';
import { AnswerTooLarge, FixedBytes, JsonWriter } from '../../src/store/json-writer.js';

const PIECE = 512 * 1024;
const fixed = new FixedBytes('{"data":');

/** The steps of one answer, each of them one call of the writer. */
const steps: readonly ((writer: JsonWriter) => void)[] = [
  (writer) => writer.fixed(fixed),
  (writer) => writer.byte(0x5b),
  (writer) => writer.string('plain'),
  (writer) => writer.byte(0x2c),
  (writer) => writer.string('caf\u00e9 "quoted" \u4e2d \ud83d\ude00'),
  (writer) => writer.byte(0x2c),
  (writer) => writer.text(JSON.stringify('\u4e2d'.repeat(2_000))),
  (writer) => writer.byte(0x5d),
  (writer) => writer.byte(0x7d),
];

function writeAnswer(writer: JsonWriter, before = steps.length): string {
  writer.begin();
  for (const step of steps.slice(0, before)) step(writer);
  if (before < steps.length) throw new Error(`step ${before}`);
  return writer.written().toString('utf8');
}

/** Writes strings until the writer refuses; returns the bytes that were written. */
function fill(writer: JsonWriter, text: string, most: number): number {
  writer.begin();
  const start = writer.at;
  for (let count = 0; count < most; count += 1) writer.string(text);
  return writer.at - start;
}

describe('JsonWriter', () => {
  const wanted = `{"data":["plain","caf\u00e9 \\"quoted\\" \u4e2d \ud83d\ude00","${'\u4e2d'.repeat(2_000)}"]}`;

  test('a text has the bytes of JSON.stringify, and exactly their length', () => {
    const writer = new JsonWriter();
    expect(writeAnswer(writer)).toBe(wanted);
    writer.begin();
    for (const step of steps) step(writer);
    expect(writer.written().length).toBe(Buffer.byteLength(wanted));
  });

  test('a text of exactly the limit is returned, and one of a byte more is refused', () => {
    const length = Buffer.byteLength(wanted);
    expect(writeAnswer(new JsonWriter(length))).toBe(wanted);
    expect(() => writeAnswer(new JsonWriter(length - 1))).toThrow(AnswerTooLarge);
  });

  test.each([
    ['short strings', 'x'.repeat(50)],
    ['long strings', 'x'.repeat(100_000)],
    ['characters of three bytes', '\u4e2d'.repeat(100_000)],
    ['escaped characters', '\u0001'.repeat(100_000)],
  ])('%s are refused before much more than the limit is in memory', (_, text) => {
    const limit = 2_000_000;
    const writer = new JsonWriter(limit);
    expect(() => fill(writer, text, 1_000_000)).toThrow(AnswerTooLarge);
    expect(writer.buffer.length).toBeLessThan(limit + 2 * PIECE + 3 * Buffer.byteLength(JSON.stringify(text)));
  });

  test('an answer that fails after any step leaves the next answers as they are', () => {
    const writer = new JsonWriter(1_000_000);
    for (let before = 0; before < steps.length; before += 1) {
      expect(() => writeAnswer(writer, before)).toThrow(`step ${before}`);
      if (before % 2 === 0) writer.reuse();
      for (const _ of [1, 2]) expect(writeAnswer(writer)).toBe(wanted);
    }
  });

  test('an answer that is too large leaves the next answers as they are, with and without reuse', () => {
    const writer = new JsonWriter(1_000_000);
    for (const reuse of [true, false]) {
      for (const text of ['x'.repeat(50), '\u4e2d'.repeat(300_000), '\u0001'.repeat(100_000)]) {
        expect(() => fill(writer, text, 1_000_000)).toThrow(AnswerTooLarge);
        if (reuse) writer.reuse();
        expect(writeAnswer(writer)).toBe(wanted);
      }
    }
  });

  test('texts that are still being sent are not written over', () => {
    const writer = new JsonWriter();
    const kept: { readonly bytes: Buffer; readonly text: string }[] = [];
    for (let index = 0; index < 300; index += 1) {
      const text = `${index}-`.repeat(index * 10);
      writer.begin();
      writer.string(text);
      kept.push({ bytes: writer.written(), text });
      writer.begin();
      writer.string('this one is gone');
      writer.reuse();
    }
    for (const { bytes, text } of kept) expect(bytes.toString()).toBe(`"${text}"`);
  });

  test('the memory of a large text is not kept for the next one', () => {
    const writer = new JsonWriter();
    for (const isRead of [true, false]) {
      fill(writer, 'x'.repeat(100_000), 50);
      expect(writer.buffer.length).toBeGreaterThan(5_000_000);
      if (isRead) writer.reuse();
      else writer.begin();
      expect(writer.buffer.length).toBe(PIECE);
    }
  });

  test('half a surrogate is written as JSON.stringify writes it', () => {
    const writer = new JsonWriter();
    for (const text of ['\ud83d', '\ude00x', `${'\ud83d'.repeat(3_000)}`]) {
      writer.begin();
      writer.string(text);
      expect(writer.written().toString()).toBe(JSON.stringify(text));
    }
  });
});
