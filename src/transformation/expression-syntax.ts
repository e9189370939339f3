/**
 * The syntax of expressions: CEL as @marcbachmann/cel-js parses it, with limits of size and errors with positions.
 *
 * Boundary: only the parser of the library is used. Its checker and evaluator support neither null in a typed value
 * nor mixed arithmetic. Some of its time functions depend on the local time zone.
 */
import { type ASTNode, Environment, ParseError } from '@marcbachmann/cel-js';
import { FStoreError } from '../errors.js';

export type Node = ASTNode;
export type NodeOf<Op extends Node['op']> = Extract<Node, { op: Op }>;

const MAX_EXPRESSION_LENGTH = 4000;
const LIMITS = { maxAstNodes: 1000, maxDepth: 50, maxListElements: 500, maxMapEntries: 1, maxCallArguments: 32 };
const PARSER = new Environment({ limits: LIMITS });

/** Methods whose first argument declares a variable for the items of the list. */
export const LIST_MACROS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

/** Returns an error about `source` at offset `position` (from 0), which it shows as line and column (from 1). */
export function expressionError(source: string, position: number, reason: string): FStoreError {
  const before = source.slice(0, position).split('\n');
  const column = (before.at(-1)?.length ?? 0) + 1;
  const place = `line ${before.length}, column ${column}`;
  return new FStoreError('DEFINITION_INVALID', `expression: ${reason} (${place})`, { field: 'expression' });
}

/**
 * Parses `source`.
 * Throws DEFINITION_INVALID with the position if it is not valid CEL, is empty or is too large.
 */
export function parseExpression(source: string): Node {
  if (source.trim() === '') throw expressionError(source, 0, 'an expression may not be empty');
  if (source.length > MAX_EXPRESSION_LENGTH) {
    const reason = `an expression has at most ${MAX_EXPRESSION_LENGTH} characters, this one has ${source.length}`;
    throw expressionError(source, 0, `${reason}; split it over several features`);
  }
  try {
    return PARSER.parse(source).ast;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw expressionError(source, error.range?.start ?? 0, error.summary);
  }
}

/** Returns the input name that `node` may be (`amount` or `request.amount`); null for any other node. */
export function nameOfNode(node: Node): string | null {
  if (node.op === 'id') return node.args;
  if (node.op !== '.') return null;
  const [left, field] = node.args;
  return left.op === 'id' ? `${left.args}.${field}` : null;
}

/** Returns the name of the variable that a list macro declares, or null if `node` is not a list macro. */
export function macroVariable(node: Node): string | null {
  if (node.op !== 'rcall' || !LIST_MACROS.has(node.args[0])) return null;
  const variable = node.args[2][0];
  return variable?.op === 'id' ? variable.args : null;
}

/** Returns the direct children of `node`, in source order. */
function childrenOf(node: Node): readonly Node[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return [];
    case '.':
    case '.?':
      return [node.args[0]];
    case 'call':
      return node.args[1];
    case 'rcall':
      return [node.args[1], ...node.args[2]];
    case 'map':
      return node.args.flat();
    case '!_':
    case '-_':
      return [node.args];
    default:
      return node.args;
  }
}

/** Returns the number of nodes of a tree. */
export function countNodes(node: Node): number {
  return childrenOf(node).reduce((sum, child) => sum + countNodes(child), 1);
}

/** Adds the input names that `node` reads to `names`. `variables` are those of the enclosing list macros. */
export function collectNames(node: Node, names: Set<string>, variables: readonly string[] = []): void {
  const name = nameOfNode(node);
  if (name !== null) {
    if (!variables.includes(name.split('.')[0] as string)) names.add(name);
    return;
  }
  const variable = macroVariable(node);
  if (variable === null || node.op !== 'rcall') {
    for (const child of childrenOf(node)) collectNames(child, names, variables);
    return;
  }
  collectNames(node.args[1], names, variables);
  for (const child of node.args[2].slice(1)) collectNames(child, names, [...variables, variable]);
}
