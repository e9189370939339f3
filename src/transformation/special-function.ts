/**
 * The functions of expressions that take any number of arguments or look at null: coalesce, isNull, has, min, max, clip.
 */
import type { FeatureValue } from '../definition/value-type.js';
import { fail, type Scope, strict, unifyAll } from './expression-scope.js';
import type { Node } from './expression-syntax.js';
import { convertPart, type ExpressionType, isNumeric, itemType, type Typed } from './expression-type.js';

type SpecialFunction = (parts: readonly Typed[], node: Node, scope: Scope) => Typed;

/** The first argument that is not null; all arguments become one type. */
const coalesce: SpecialFunction = (parts, node, scope) => {
  if (parts.length < 2) throw fail(node, scope, 'coalesce takes two or more values');
  const type = unifyAll(parts, node, scope, 'the values of coalesce') as ExpressionType;
  const candidates = parts.map((part) => convertPart(part, type).evaluate);
  return {
    type,
    evaluate: (values) => {
      for (const candidate of candidates) {
        const value = candidate(values);
        if (value !== null) return value;
      }
      return null;
    },
  };
};

const nullTest =
  (name: string, whenNull: boolean): SpecialFunction =>
  (parts, node, scope) => {
    const [part] = parts;
    if (!part || parts.length > 1) throw fail(node, scope, `${name} takes one value`);
    return { type: 'bool', evaluate: (values) => (part.evaluate(values) === null) === whenNull };
  };

/** `parts` as numbers of one type: int where all are int, else double. */
function unifyNumbers(name: string, parts: readonly Typed[], node: Node, scope: Scope): readonly Typed[] {
  const type = unifyAll(parts, node, scope, `the values of ${name}`);
  if (type === null || !isNumeric(type)) throw fail(node, scope, `${name} takes numbers, not ${type ?? 'nothing'}`);
  return parts.map((part) => convertPart(part, type));
}

type Choice = (left: FeatureValue, right: FeatureValue) => FeatureValue;
const isLess = (left: FeatureValue, right: FeatureValue): boolean => (left as number) < (right as number);
const less: Choice = (left, right) => (isLess(right, left) ? right : left);
const greater: Choice = (left, right) => (isLess(left, right) ? right : left);

/** `min(a, b, …)` null where one is null; `min(list)` null for an empty list. */
const extreme =
  (name: string, choose: Choice): SpecialFunction =>
  (parts, node, scope) => {
    const [only] = parts;
    const item = only && parts.length === 1 ? itemType(only.type) : null;
    if (only && item !== null && isNumeric(item)) {
      const evaluate = strict([only], (list) => {
        const items = list as readonly FeatureValue[];
        return items.length === 0 ? null : items.reduce(choose);
      });
      return { type: item, evaluate };
    }
    if (parts.length < 2) throw fail(node, scope, `${name} takes two or more numbers, or a list of numbers`);
    return unifyNumbers(name, parts, node, scope).reduce((left, right) => ({
      type: left.type,
      evaluate: strict([left, right], choose),
    }));
  };

/** `clip(x, lo, hi)`: x, but not below lo and not above hi; hi wins where lo is above it. */
const clip: SpecialFunction = (parts, node, scope) => {
  if (parts.length !== 3) throw fail(node, scope, 'clip takes a number, its lower bound and its upper bound');
  const numbers = unifyNumbers('clip', parts, node, scope);
  const evaluate = strict(numbers, (x, low, high) =>
    less(greater(x as FeatureValue, low as FeatureValue), high as FeatureValue),
  );
  return { type: (numbers[0] as Typed).type, evaluate };
};

export const SPECIAL_FUNCTIONS: ReadonlyMap<string, SpecialFunction> = new Map([
  ['coalesce', coalesce],
  ['isNull', nullTest('isNull', true)],
  ['has', nullTest('has', false)],
  ['min', extreme('min', less)],
  ['max', extreme('max', greater)],
  ['clip', clip],
]);
