/**
 * Writes `test/golden/aggregation/*.json`: histories and what every engine must make of them, worked out by the oracle.
 * Run it only when the definition of a function changes; a diff of these files is a change of what features mean.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { resultTypeOf } from '../src/definition/aggregate-function.js';
import { type ScalarValue, valueToJson } from '../src/definition/value-type.js';
import { readWindow } from '../src/definition/window.js';
import { type NaiveEvent, naiveValues } from '../test/unit/fakes/naive-aggregation.js';
import { everyAggregation, everyColumn, randomInstant, randomValue } from '../test/unit/fakes/random-history.js';
import { seededRandom } from '../test/unit/fakes/seeded-random.js';

const folder = new URL('../test/golden/aggregation/', import.meta.url);
const NOW = Date.UTC(2026, 5, 1, 12);
const random = seededRandom(20_261_123);
const types = new Map(everyColumn);
const files = new Map<string, unknown[]>();

for (const { function: name, column, n, windows, hop } of everyAggregation) {
  const type = column === undefined ? null : types.get(column)!;
  const cases = files.get(name) ?? [];
  files.set(name, cases);
  for (let run = 0; run < 6; run += 1) {
    const window = readWindow(windows[run % windows.length]!, hop);
    if (!window.ok) throw new Error(window.reason);
    const { length, hop: step } = window.value;
    const base = randomInstant(random, NOW);
    const events = Array.from({ length: run === 0 ? 0 : 1 + random.below(8) }, (_, sequence): NaiveEvent => {
      const eventTime = random.below(4) === 0 ? base : base - random.below(2 * length) + random.below(length);
      const value = type === null || random.below(5) === 0 ? null : (randomValue(random, type) as ScalarValue);
      return { eventTime, sequence, values: { value } };
    });
    const at = base + [0, length, step, length + step][random.below(4)]! + random.below(3) - 1;
    const meaning = {
      aggregates: [{ function: name, column: type && 'value', type, n: n ?? null }],
      features: [{ aggregate: 0, length, hop: step }],
    };
    const expected = naiveValues(meaning, events, at)[0]!;
    cases.push({
      type,
      n: n ?? null,
      window: { length, hop: step },
      at,
      events: events.map(({ eventTime, sequence, values }) => {
        return [eventTime, sequence, type ? valueToJson(type, values.value ?? null) : null];
      }),
      expected: valueToJson(resultTypeOf(name, type), expected),
    });
  }
}

mkdirSync(folder, { recursive: true });
for (const [name, cases] of files) {
  const lines = cases.map((one) => `    ${JSON.stringify(one)}`).join(',\n');
  writeFileSync(new URL(`${name}.json`, folder), `{\n  "function": "${name}",\n  "cases": [\n${lines}\n  ]\n}\n`);
}
