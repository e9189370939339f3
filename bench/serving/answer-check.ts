/** Checks that all contenders give the same answers. Without that, the figures mean nothing. */

import { askContender, type Contender } from './contender.js';
import { answerText, entityId, VIEWS, viewNamed } from './dataset.js';
import { keysOf, missId, type Workload } from './workload.js';

const SAMPLES = 12;
/** Entity 0 has text that JSON escapes and a null; entity 53 has a null. */
const ODD = [entityId(0), entityId(53), missId(7)];

interface FeastAnswer {
  readonly metadata: { readonly feature_names: readonly string[] };
  readonly results: readonly { readonly values: readonly unknown[] }[];
}

/** Returns the expected answer, computed from the data alone. A line feed that Apollo appends does not count. */
function expectedText({ form, views }: Workload, ids: readonly string[]): string {
  const entities = ids.map((id) => {
    const fields = views.map((view) => `"${view}":${answerText(viewNamed(view), entityOf(id))}`);
    return `{"id":${JSON.stringify(id)},${fields.join(',')}}`;
  });
  if (form === 'one') return `{"data":{"user":${entities[0]}}}`;
  return `{"data":{"${form === 'list' ? 'users' : '_entities'}":[${entities.join(',')}]}}`;
}

function entityOf(id: string): number | null {
  return id.startsWith('u') ? Number(id.slice(1)) : null;
}

/** Compares Feast's columns with the expected values of each entity. Returns the first difference, or null. */
function feastDifference(workload: Workload, ids: readonly string[], text: string): string | null {
  const { metadata, results } = JSON.parse(text) as FeastAnswer;
  for (const name of workload.views) {
    const view = VIEWS.find((one) => one.name === name)!;
    for (const { name: feature, type } of view.features) {
      const column = results[metadata.feature_names.indexOf(feature)];
      for (const [index, id] of ids.entries()) {
        const fields = JSON.parse(answerText(view, entityOf(id))) as Record<string, unknown>;
        const wanted = fields[feature] ?? null;
        const expected = type === 'INT64' && wanted !== null ? Number(wanted) : wanted;
        const found = column?.values[index] ?? null;
        if (found !== expected) return `${id} ${feature}: ${String(found)} instead of ${String(expected)}`;
      }
    }
  }
  return null;
}

function firstDifference(found: string, expected: string): string {
  const at = [...expected].findIndex((_, index) => found[index] !== expected[index]);
  const from = Math.max(0, (at < 0 ? expected.length : at) - 30);
  return `…${found.slice(from, from + 80)}… instead of …${expected.slice(from, from + 80)}…`;
}

/**
 * Requests sample keys of a workload from a contender, including unusual ones.
 *
 * @returns the number of compared answers
 * @throws at the first answer that is not byte for byte the expected one; Feast has its own format, so its values are
 * compared
 */
export async function checkAnswers(contender: Contender, workload: Workload, entities: number): Promise<number> {
  const keys = keysOf(workload, entities, 99);
  const samples = Array.from({ length: SAMPLES }, () => keys.next().value as string[]);
  const odd = workload.form === 'one' ? ODD.map((id) => [id]) : [[...ODD, ...(samples[0] ?? [])]];
  for (const ids of [...samples, ...odd]) {
    const text = await askContender(contender, workload, ids);
    const expected = expectedText(workload, ids);
    const difference =
      contender.door === 'feast'
        ? feastDifference(workload, ids, text)
        : text.trimEnd() === expected
          ? null
          : firstDifference(text.trimEnd(), expected);
    if (difference) throw new Error(`${contender.name} answers ${workload.name} wrongly: ${difference}`);
  }
  return samples.length + odd.length;
}
