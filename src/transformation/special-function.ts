/**
 * Functions of expressions that take a variable number of arguments or handle null: coalesce, isNull, has, min, max,
 * clip.
 */
import type { FeatureValue } from '../definition/value-type.js';
import { charge } from './expression-budget.js';
import { fail, type Scope, strict, unifyAll } from './expression-scope.js';
import type { Node } from './expression-syntax.js';
import { convertPart, type ExpressionType, isNumeric, itemType, type Typed } from './expression-type.js';

type SpecialFunction = (parts: readonly Typed[], node: Node, scope: Scope) => Typed;

/** Returns the first argument that is not null. All arguments convert to one type. */
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

/** Converts `parts` to numbers of one type: int if all are int, else double. */
function unifyNumbers(name: string, parts: readonly Typed[], node: Node, scope: Scope): readonly Typed[] {
  const type = unifyAll(parts, node, scope, `the values of ${name}`);
  if (type === null || !isNumeric(type)) throw fail(node, scope, `${name} takes numbers, not ${type ?? 'nothing'}`);
  return parts.map((part) => convertPart(part, type));
}

type Choice = (left: FeatureValue, right: FeatureValue) => FeatureValue;
const isLess = (left: FeatureValue, right: FeatureValue): boolean => (left as number) < (right as number);
const less: Choice = (left, right) => (isLess(right, left) ? right : left);
const greater: Choice = (left, right) => (isLess(left, right) ? right : left);

/** `min(a, b, …)` is null if an argument is null. `min(list)` is null for an empty list. */
const extreme =
  (name: string, choose: Choice): SpecialFunction =>
  (parts, node, scope) => {
    const [only] = parts;
    const item = only && parts.length === 1 ? itemType(only.type) : null;
    if (only && item !== null && isNumeric(item)) {
      const evaluate = strict([only], (list) => {
        const items = list as readonly FeatureValue[];
        charge(4 * items.length);
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

/** `clip(x, lo, hi)` is x, but at least lo and at most hi. If lo > hi, the result is hi. */
const clip: SpecialFunction = (parts, node, scope) => {
  if (parts.length !== 3) throw fail(node, scope, 'clip takes a number, its lower bound and its upper bound');
  const numbers = unifyNumbers('clip', parts, node, scope);
  const evaluate = strict(numbers, (x, low, high) =>
    less(greater(x as FeatureValue, low as FeatureValue), high as FeatureValue),
  );
  return { type: (numbers[0] as Typed).type, evaluate };
};

/** The special functions, by name. */
export const SPECIAL_FUNCTIONS: ReadonlyMap<string, SpecialFunction> = new Map([
  ['coalesce', coalesce],
  ['isNull', nullTest('isNull', true)],
  ['has', nullTest('has', false)],
  ['min', extreme('min', less)],
  ['max', extreme('max', greater)],
  ['clip', clip],
]);
