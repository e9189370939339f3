import type { FeatureValue } from '../../../src/definition/value-type.js';
import type { ViewVersion } from '../../../src/definition/view-version.js';

const show = (value: FeatureValue): string =>
  JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}n` : one));

/** Numbers agree but for rounding, everything else exactly. Throws with the feature and `place`, which says where and of which seed. */
export function expectSame(
  view: ViewVersion,
  actual: readonly FeatureValue[],
  expected: readonly FeatureValue[],
  place: string,
): void {
  for (const [index, wanted] of expected.entries()) {
    const got = actual[index] ?? null;
    const close =
      typeof wanted === 'number' && typeof got === 'number' && Math.abs(got - wanted) <= 1e-9 * Math.abs(wanted);
    if (close || Object.is(got, wanted) || show(got) === show(wanted)) continue;
    throw new Error(`${view.features[index]!.name} ${place}: ${show(got)} instead of ${show(wanted)}`);
  }
}
