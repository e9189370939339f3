/**
 * The methods of lists in expressions: sum, and the macros all, exists, exists_one, map and filter.
 *
 * Invariant: macros do not nest. A macro evaluates its body once for each item, and `in` or `sum` there may read
 * another list.
 */
import type { FeatureValue } from '../definition/value-type.js';
import { charge, growList } from './expression-budget.js';
import { finite, int64 } from './expression-function.js';
import { fail, requireBool, type Scope, strict } from './expression-scope.js';
import { countNodes, LIST_MACROS, type Node, type NodeOf } from './expression-syntax.js';
import { type Evaluate, type ExpressionScalar, isNumeric, itemType, type Typed } from './expression-type.js';

type Compile = (node: Node, scope: Scope) => Typed;
type Items = readonly FeatureValue[];

/** The names of the methods in this file. */
export const LIST_METHODS: readonly string[] = [...LIST_MACROS, 'sum'];

/**
 * Compiles a method of the list `receiver`. `variable` is the variable that a macro declares; null for other methods.
 * Returns null if lists have no special method of this name. `compile` compiles the body of a macro.
 */
export function compileListMethod(
  receiver: Typed,
  variable: string | null,
  node: NodeOf<'rcall'>,
  scope: Scope,
  compile: Compile,
): Typed | null {
  const [name, , nodes] = node.args;
  const item = itemType(receiver.type);
  if (item === null) throw fail(node, scope, `${name} takes a list, not ${receiver.type}`);
  if (variable !== null) return compileMacro(receiver, item, variable, node, scope, compile);
  if (name === 'sum' && nodes.length === 0 && isNumeric(item)) return compileSum(receiver, item);
  return null;
}

function compileSum(receiver: Typed, item: ExpressionScalar): Typed {
  if (item === 'int') {
    const total = (list: FeatureValue) => {
      const items = list as readonly bigint[];
      charge(NODE_STEPS * items.length);
      return int64(items.reduce((sum, each) => sum + each, 0n));
    };
    return { type: 'int', evaluate: strict([receiver], total as (value: FeatureValue) => FeatureValue) };
  }
  const total = (list: FeatureValue) => {
    const items = list as readonly number[];
    charge(items.length);
    return finite(items.reduce((sum, each) => sum + each, 0));
  };
  return { type: 'double', evaluate: strict([receiver], total as (value: FeatureValue) => FeatureValue) };
}

/** Steps for each node of a macro's body, for each item. */
const NODE_STEPS = 4;

/** The value of a macro's variable. One cell is enough, because evaluation is synchronous and macros do not nest. */
interface Cell {
  value: FeatureValue;
  /** The steps that one item takes, beside those that functions charge by the length of their operands. */
  readonly steps: number;
}

function compileMacro(
  receiver: Typed,
  item: ExpressionScalar,
  variable: string,
  node: NodeOf<'rcall'>,
  scope: Scope,
  compile: Compile,
): Typed {
  const [name, , nodes] = node.args;
  if (scope.variable) throw fail(node, scope, `${name} may not stand inside of another list macro`);
  const taken = [...scope.inputs.keys()].some((input) => input.split('.')[0] === variable);
  if (taken) throw fail(node, scope, `the variable ${variable} has the name of an input; give it another name`);
  const steps = NODE_STEPS * nodes.slice(1).reduce((sum, each) => sum + countNodes(each), 1);
  const cell: Cell = { value: null, steps };
  const inner: Scope = { ...scope, variable: { name: variable, part: { type: item, evaluate: () => cell.value } } };
  const bodies = nodes.slice(1).map((each) => compile(each, inner));
  const [first, second] = bodies;
  if (!first || bodies.length > 2 || (second && name !== 'map')) {
    throw fail(node, scope, `${name} takes a variable and an expression`);
  }
  const predicate = name === 'map' ? second && first : first;
  if (predicate) requireBool(predicate, nodes[1] as Node, scope, `the condition of ${name}`);
  if (name === 'map') return compileMap(receiver, predicate, second ?? first, cell, node, scope);
  if (name === 'filter') return { type: receiver.type, evaluate: filterItems(receiver.evaluate, first, cell) };
  return { type: 'bool', evaluate: quantify(name, receiver.evaluate, first.evaluate, cell) };
}

/** Compiles `map`. It skips items whose condition is null. A list with a null item is null. */
function compileMap(
  receiver: Typed,
  predicate: Typed | undefined,
  transform: Typed,
  cell: Cell,
  node: Node,
  scope: Scope,
): Typed {
  if (itemType(transform.type) !== null) throw fail(node, scope, 'a list may not hold lists');
  const source = predicate ? filterItems(receiver.evaluate, predicate, cell) : receiver.evaluate;
  const evaluate: Evaluate = (values) => {
    const list = source(values) as Items | null;
    if (list === null) return null;
    charge(cell.steps * list.length);
    growList(list.length);
    const mapped: FeatureValue[] = [];
    for (const each of list) {
      cell.value = each;
      const value = transform.evaluate(values);
      if (value === null) return null;
      mapped.push(value);
    }
    return mapped as unknown as FeatureValue;
  };
  return { type: `list<${transform.type as ExpressionScalar}>`, evaluate };
}

function filterItems(source: Evaluate, predicate: Typed, cell: Cell): Evaluate {
  return (values) => {
    const list = source(values) as Items | null;
    if (list === null) return null;
    charge(cell.steps * list.length);
    growList(list.length);
    const kept = list.filter((each) => {
      cell.value = each;
      return predicate.evaluate(values) === true;
    });
    return kept as unknown as FeatureValue;
  };
}

/** Compiles all, exists and exists_one with three-valued logic: null if the answer depends on a null condition. */
function quantify(name: string, source: Evaluate, predicate: Evaluate, cell: Cell): Evaluate {
  return (values) => {
    const list = source(values) as Items | null;
    if (list === null) return null;
    charge(cell.steps * list.length);
    let holding = 0;
    let unknown = 0;
    for (const each of list) {
      cell.value = each;
      const holds = predicate(values);
      if (holds === null) unknown++;
      else if (holds) holding++;
    }
    if (name === 'exists') return holding > 0 ? true : unknown > 0 ? null : false;
    if (name === 'exists_one') return holding > 1 ? false : unknown > 0 ? null : holding === 1;
    return holding + unknown < list.length ? false : unknown > 0 ? null : true;
  };
}
