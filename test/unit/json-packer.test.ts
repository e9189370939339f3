import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type FeatureValue, type ValueType, valueToJson } from '../../src/definition/value-type.js';
import { EVENT_TIME, JsonPacker, ValueTemplate } from '../../src/store/json-packer.js';
import { FixedBytes, JsonWriter } from '../../src/store/json-writer.js';
import { DamagedValue } from '../../src/store/packed-values.js';
import { features } from './fakes/feature-arbitrary.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const TIME = '2026-01-01T00:00:00.000Z';
const HEADER = 3;

function templateOf(order: readonly number[]): ValueTemplate {
  const parts = order.map((value, place) => ({ label: new FixedBytes(`${place ? ',' : '['}`), value }));
  return new ValueTemplate(parts, new FixedBytes(order.length ? ']' : '[]'));
}

/** The text of a template over bytes, or null if they are damaged. */
function copied(packer: JsonPacker, bytes: Buffer, order: readonly number[]): string | null {
  const writer = new JsonWriter();
  writer.begin();
  try {
    packer.copyAll(bytes, HEADER, templateOf(order), new FixedBytes(`"${TIME}"`), writer);
  } catch (error) {
    if (error instanceof DamagedValue) return null;
    throw error;
  }
  return writer.written().toString('utf8');
}

function jsonOf(type: ValueType, value: FeatureValue): string {
  return JSON.stringify(valueToJson(type, value));
}

describe(`packed values copied as JSON (seed ${seed})`, () => {
  test('are the JSON of what was packed, all in their order, in any order, some, and some twice', () => {
    fc.assert(
      fc.property(features, fc.array(fc.nat(), { maxLength: 60 }), (list, picks) => {
        const packer = new JsonPacker(list.map(({ type }) => type));
        const bytes = packer.pack(
          HEADER,
          list.map(({ value }) => value),
        );
        const texts = list.map(({ type, value }) => jsonOf(type, value));
        const whole = [...list.keys(), EVENT_TIME];
        const any = picks.map((pick) => (pick % (list.length + 1)) - 1);
        for (const order of [whole, any]) {
          const wanted = order.map((index) => (index === EVENT_TIME ? `"${TIME}"` : texts[index]));
          expect(copied(packer, bytes, order)).toBe(`[${wanted.join(',')}]`);
        }
      }),
      { seed, numRuns: 1_000 },
    );
  });

  test('that are damaged, cut short or too long are refused alike in their order and in another', () => {
    fc.assert(
      fc.property(
        features,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
        fc.integer({ min: -9, max: 9 }),
        (list, damages, more) => {
          const packer = new JsonPacker(list.map(({ type }) => type));
          const good = packer.pack(
            HEADER,
            list.map(({ value }) => value),
          );
          const length = Math.max(HEADER, good.length + more);
          const bytes = Buffer.concat([good, Buffer.alloc(9, 1)]).subarray(0, length);
          for (const [at, byte] of damages) if (length > HEADER) bytes[HEADER + (at % (length - HEADER))] = byte;
          const order = [...list.keys()];
          const backwards = copied(packer, bytes, [...order].reverse());
          const forwards = copied(packer, bytes, order);
          expect(forwards === null).toBe(backwards === null);
          if (more !== 0 && damages.length === 0 && length !== good.length) expect(forwards).toBeNull();
        },
      ),
      { seed, numRuns: 5_000 },
    );
  });
});
