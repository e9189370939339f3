/**
 * Compiles the syntax tree of an expression to a chain of closures, and checks every type.
 *
 * Null rule
 * 1. Null means "no value". Operators, functions and methods with a null operand give null, and never an error.
 * 2. `&&` and `||` follow SQL: false && null is false, and true || null is true. Otherwise a null operand gives null.
 * 3. A condition that is null makes `?:` null.
 * 4. Only coalesce(), isNull(), has() and comparisons with the literal null can tell null from a value.
 */
import type { FeatureValue } from '../definition/value-type.js';
import { FUNCTIONS, int64, METHODS, type Overload } from './expression-function.js';
import { compileListMethod, LIST_METHODS } from './expression-list.js';
import { findOperation } from './expression-operator.js';
import { fail, requireBool, type Scope, strict, unifyAll } from './expression-scope.js';
import { macroVariable, type Node, type NodeOf, nameOfNode } from './expression-syntax.js';
import {
  convertPart,
  type Evaluate,
  type ExpressionType,
  expressionTypeOf,
  itemType,
  readInput,
  type Typed,
  unifyTypes,
} from './expression-type.js';
import { SPECIAL_FUNCTIONS } from './special-function.js';

/** Compiles `node`. Throws DEFINITION_INVALID with the position of an unknown name or of types that do not match. */
export function compileNode(node: Node, scope: Scope): Typed {
  const part = compilePart(node, scope);
  if (part.type === 'string' || itemType(part.type) !== null) scope.metered.isNeeded = true;
  return part;
}

function compilePart(node: Node, scope: Scope): Typed {
  const name = nameOfNode(node);
  if (name !== null) return compileName(name, node, scope);
  switch (node.op) {
    case 'id':
      return compileName(node.args, node, scope);
    case 'value':
      return compileLiteral(node.args, node, scope);
    case '.':
    case '.?':
      throw fail(node, scope, `a value has no field ${node.args[1]}; ${inputList(scope)}`);
    case '[]':
      return compileIndex(node, scope);
    case 'call':
      return compileCall(node, scope);
    case 'rcall':
      return compileMethod(node, scope);
    case 'list':
      return compileList(node.args, node, scope);
    case '?:':
      return compileTernary(node, scope);
    case '&&':
    case '||':
      return compileLogical(node, scope);
    case '!_':
    case '-_':
      return compileUnary(node, scope);
    case 'map':
    case '[?]':
      throw fail(node, scope, 'maps and optional values are not offered; the result of an expression is one value');
    default:
      return compileBinary(node, scope);
  }
}

type BinaryNode = NodeOf<'+' | '-' | '*' | '/' | '%' | '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in'>;

function inputList(scope: Scope): string {
  const names = [...scope.inputs].map(([name, { type }]) => `${name} ${type}`);
  return names.length === 0 ? 'there are no inputs' : `the inputs are ${names.join(', ')}`;
}

function compileName(name: string, node: Node, scope: Scope): Typed {
  if (scope.variable?.name === name) return scope.variable.part;
  const input = scope.inputs.get(name);
  if (!input) throw fail(node, scope, `there is no input ${name}; ${inputList(scope)}`);
  return { type: expressionTypeOf(input.type), evaluate: readInput(input.type, input.index) };
}

function compileLiteral(value: NodeOf<'value'>['args'], node: Node, scope: Scope): Typed {
  if (value === null) return { type: 'null', evaluate: () => null };
  if (typeof value === 'string') return { type: 'string', evaluate: () => value };
  if (typeof value === 'boolean') return { type: 'bool', evaluate: () => value };
  if (typeof value === 'number') return { type: 'double', evaluate: () => value };
  if (typeof value !== 'bigint') throw fail(node, scope, 'bytes and unsigned integers are not offered');
  if (BigInt.asIntN(64, value) !== value) throw fail(node, scope, `${value} does not fit in 64 bits`);
  return { type: 'int', evaluate: () => value };
}

/** Compiles a list. Its items convert to one type. A list with a null item is null. */
function compileList(nodes: readonly Node[], node: Node, scope: Scope): Typed {
  const parts = nodes.map((each) => compileNode(each, scope));
  const item = unifyAll(parts, node, scope, 'the items of a list') ?? 'null';
  if (itemType(item) !== null) throw fail(node, scope, 'a list may not hold lists');
  const items = parts.map((part) => convertPart(part, item).evaluate);
  const evaluate: Evaluate = (values) => {
    const list = items.map((each) => each(values));
    return list.includes(null) ? null : (list as FeatureValue);
  };
  const type = `list<${item}>` as ExpressionType;
  const constant = nodes.every(({ op }) => op === 'value') ? evaluate([]) : undefined;
  return { type, evaluate: constant === undefined ? evaluate : () => constant };
}

/** Compiles access to a list item. Indexes begin at 0. An index outside of the list gives null. */
function compileIndex(node: NodeOf<'[]'>, scope: Scope): Typed {
  const list = compileNode(node.args[0], scope);
  const index = compileNode(node.args[1], scope);
  const type = itemType(list.type);
  if (type === null) throw fail(node, scope, `[] takes items out of a list, not of ${list.type}`);
  if (index.type !== 'int') throw fail(node.args[1], scope, `the index of a list is an int, not ${index.type}`);
  const evaluate = strict([list, index], (items, at) => (items as readonly never[])[Number(at)] ?? null);
  return { type, evaluate };
}

function compileTernary(node: NodeOf<'?:'>, scope: Scope): Typed {
  const [condition, left, right] = node.args.map((each) => compileNode(each, scope)) as [Typed, Typed, Typed];
  requireBool(condition, node.args[0], scope, 'the condition of ?:');
  const type = unifyAll([left, right], node, scope, 'both branches of ?:') as ExpressionType;
  const test = condition.evaluate;
  const yes = convertPart(left, type).evaluate;
  const no = convertPart(right, type).evaluate;
  const evaluate: Evaluate = (values) => {
    const holds = test(values);
    return holds === null ? null : holds ? yes(values) : no(values);
  };
  return { type, evaluate };
}

function compileLogical(node: NodeOf<'&&' | '||'>, scope: Scope): Typed {
  const [left, right] = node.args.map((each) => compileNode(each, scope)) as [Typed, Typed];
  requireBool(left, node.args[0], scope, `the left side of ${node.op}`);
  requireBool(right, node.args[1], scope, `the right side of ${node.op}`);
  const decisive = node.op === '||';
  const first = left.evaluate;
  const second = right.evaluate;
  const evaluate: Evaluate = (values) => {
    const a = first(values);
    if (a === decisive) return decisive;
    const b = second(values);
    return b === decisive ? decisive : a === null || b === null ? null : !decisive;
  };
  return { type: 'bool', evaluate };
}

function compileUnary(node: NodeOf<'!_' | '-_'>, scope: Scope): Typed {
  const operand = node.args;
  // The parser reads -9223372036854775808 as the minus of a literal, which alone does not fit in 64 bits.
  if (node.op === '-_' && operand.op === 'value' && typeof operand.args === 'bigint') {
    return compileLiteral(-operand.args, node, scope);
  }
  const part = compileNode(operand, scope);
  if (node.op === '!_') {
    requireBool(part, operand, scope, 'the operand of !');
    return { type: 'bool', evaluate: strict([part], (value) => !value) };
  }
  if (part.type === 'double') return { type: 'double', evaluate: strict([part], (value) => -(value as number)) };
  if (part.type !== 'int') throw fail(node, scope, `- takes int or double, not ${part.type}`);
  const evaluate = strict([part], (value) => int64(-(value as bigint)));
  return { type: 'int', evaluate };
}

function compileBinary(node: BinaryNode, scope: Scope): Typed {
  const [left, right] = node.args.map((each) => compileNode(each, scope)) as [Typed, Typed];
  if ((node.op === '==' || node.op === '!=') && (left.type === 'null' || right.type === 'null')) {
    const { evaluate } = left.type === 'null' ? right : left;
    const equal = node.op === '==';
    return { type: 'bool', evaluate: (values) => (evaluate(values) === null) === equal };
  }
  const operation = findOperation(node.op, left.type, right.type);
  if (!operation) {
    const cure = node.op === '%' ? '; % takes int' : '';
    throw fail(node, scope, `there is no ${left.type} ${node.op} ${right.type}${cure}`);
  }
  const { operands } = operation;
  const parts = operands === null ? [left, right] : [convertPart(left, operands), convertPart(right, operands)];
  return { type: operation.result, evaluate: strict(parts, operation.call) };
}

function compileCall(node: NodeOf<'call'>, scope: Scope): Typed {
  const [name, nodes] = node.args;
  const parts = nodes.map((each) => compileNode(each, scope));
  const special = SPECIAL_FUNCTIONS.get(name);
  if (special) return special(parts, node, scope);
  const overloads = FUNCTIONS.get(name);
  if (overloads) return applyOverload(name, overloads, parts, node, scope);
  const names = [...SPECIAL_FUNCTIONS.keys(), ...FUNCTIONS.keys()].sort();
  throw fail(node, scope, `there is no function ${name}; the functions are ${names.join(', ')}`);
}

function compileMethod(node: NodeOf<'rcall'>, scope: Scope): Typed {
  const [name, target, nodes] = node.args;
  const receiver = compileNode(target, scope);
  const variable = macroVariable(node);
  if (variable !== null || itemType(receiver.type) !== null) {
    const part = compileListMethod(receiver, variable, node, scope, compileNode);
    if (part) return part;
  }
  const overloads = METHODS.get(name);
  if (!overloads) {
    const methods = [...METHODS.keys(), ...LIST_METHODS].sort().join(', ');
    const why = name === 'matches' ? ' (a regular expression can take exponential time in the path of a request)' : '';
    throw fail(node, scope, `there is no method ${name}${why}; the methods are ${methods}`);
  }
  return applyOverload(name, overloads, [receiver, ...nodes.map((each) => compileNode(each, scope))], node, scope);
}

function applyOverload(
  name: string,
  overloads: readonly Overload[],
  parts: readonly Typed[],
  node: Node,
  scope: Scope,
): Typed {
  const sameLength = overloads.filter((each) => each.arguments.length === parts.length);
  const fits = (each: Overload, exact: boolean): boolean =>
    parts.every(({ type }, index) => {
      const wanted = each.arguments[index] as ExpressionType;
      return type === wanted || type === 'null' || (!exact && unifyTypes(type, wanted) === wanted);
    });
  const found = sameLength.find((each) => fits(each, true)) ?? sameLength.find((each) => fits(each, false));
  if (!found) {
    const known = overloads.map((each) => `${name}(${each.arguments.join(', ')})`).join(', ');
    const got = parts.map(({ type }) => type).join(', ');
    throw fail(node, scope, `${name} does not take (${got}); what it takes: ${known}`);
  }
  const converted = parts.map((part, index) => convertPart(part, found.arguments[index] as ExpressionType));
  return { type: found.result, evaluate: strict(converted, found.call) };
}
