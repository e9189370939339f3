/**
 * Limits on the size of a document. They are checked before validation: the time of some rules grows with the square of
 * repeated fields, and the parser and its visitors use the stack for nested values.
 *
 * Boundary: this module knows documents but no schema. It counts the fields of a fragment each time the fragment is
 * spread, as they are executed.
 */
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';

export interface OperationLimits {
  readonly maxDepth: number;
  readonly maxAliases: number;
  readonly maxTokens: number;
}

const MAX_DIRECTIVES = 50;
/** Validation compares each pair of fragments: about 40 ms for 150 fragments. */
const MAX_FRAGMENTS = 150;
/** Levels of brackets, in a document and in variables. FSTORE_MAX_DEPTH allows at most 100 levels of fields. */
const MAX_NESTING = 200;
/** Validation compares each pair of fields that have one name in the answer: about 2.5 µs for a pair with arguments. */
const MAX_PAIRS = 20_000;
/** How many fields are examined to find these pairs. */
const MAX_VISITS = 50_000;

/** Returns an error that clients receive as OPERATION_TOO_COMPLEX. */
export function limitError(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { limit: true } });
}

/** Returns true for an error of `limitError`. */
export function isLimitError(error: unknown): error is GraphQLError {
  return error instanceof GraphQLError && error.extensions.limit === true;
}

/** Throws a limit error if the brackets of a GraphQL document are nested too deep. Ignores strings and comments. */
export function checkNesting(text: string): void {
  if (text.length <= MAX_NESTING) return;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case 0x22:
        at = endOfString(text, at);
        break;
      case 0x23:
        at = endOfLine(text, at);
        break;
      case 0x28:
      case 0x5b:
      case 0x7b:
        depth += 1;
        if (depth > MAX_NESTING) throw limitError(`brackets are nested deeper than ${MAX_NESTING}`);
        break;
      case 0x29:
      case 0x5d:
      case 0x7d:
        depth -= 1;
        break;
    }
  }
}

function endOfLine(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) !== 0x0a && text.charCodeAt(at) !== 0x0d) at += 1;
  return at;
}

/**
 * Returns the end of the string that begins at `from`. A block string ends with three quotes, any other string with a
 * quote or with its line.
 */
function endOfString(text: string, from: number): number {
  if (text.startsWith('"""', from)) {
    let end = text.indexOf('"""', from + 3);
    while (end >= 0 && text.charCodeAt(end - 1) === 0x5c) end = text.indexOf('"""', end + 1);
    return end < 0 ? text.length : end + 2;
  }
  for (let at = from + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at += 1;
    else if (code === 0x22 || code === 0x0a || code === 0x0d) return at;
  }
  return text.length;
}

/** Throws a limit error if lists and objects of variables are nested too deep. */
export function checkVariables(value: unknown): void {
  if (isDeeper(value, MAX_NESTING)) throw limitError(`values of variables are nested deeper than ${MAX_NESTING}`);
}

function isDeeper(value: unknown, room: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (room === 0) return true;
  if (Array.isArray(value)) return value.some((item) => isDeeper(item, room - 1));
  for (const name in value) if (isDeeper((value as Record<string, unknown>)[name], room - 1)) return true;
  return false;
}

/** Throws a limit error if a document exceeds one of the limits. */
export function checkDocument(document: DocumentNode, limits: OperationLimits): void {
  const fragments = fragmentsOf(document);
  if (document.definitions.length > MAX_FRAGMENTS) {
    throw limitError(
      `the document has ${document.definitions.length} operations and fragments, at most ${MAX_FRAGMENTS} are allowed`,
    );
  }
  countPairs(document);
  const sizes = new SizeCount(fragments);
  for (const one of document.definitions) {
    if (one.kind !== Kind.OPERATION_DEFINITION) continue;
    const { depth, aliases, directives } = sizes.of(one.selectionSet);
    const found = directives + (one.directives?.length ?? 0);
    refuse('levels of fields', depth, limits.maxDepth, 'FSTORE_MAX_DEPTH');
    refuse('aliases', aliases, limits.maxAliases, 'FSTORE_MAX_ALIASES');
    refuse('directives', found, MAX_DIRECTIVES);
  }
}

function fragmentsOf({ definitions }: DocumentNode): ReadonlyMap<string, FragmentDefinitionNode> {
  const fragments = definitions.filter((one) => one.kind === Kind.FRAGMENT_DEFINITION);
  return new Map(fragments.map((one) => [one.name.value, one]));
}

/** Returns how many pairs of fields validation compares. Throws a limit error. */
function countPairs(document: DocumentNode): number {
  const merging = new MergeCount(fragmentsOf(document));
  for (const one of document.definitions) {
    if (one.kind === Kind.OPERATION_DEFINITION || one.kind === Kind.FRAGMENT_DEFINITION) {
      merging.count([one.selectionSet]);
    }
  }
  return merging.pairs;
}

/**
 * Returns how much work it is to check a document: its tokens, and the pairs of fields and of fragments that
 * validation compares.
 */
export function weightOf(document: DocumentNode): number {
  const { tokenCount = 0, definitions } = document;
  const { length } = definitions;
  return tokenCount + (length * (length - 1)) / 2 + countPairs(document);
}

function refuse(what: string, found: number, max: number, variable?: string): void {
  if (found <= max) return;
  throw limitError(`the operation has ${found} ${what}, at most ${max} are allowed${variable ? ` (${variable})` : ''}`);
}

interface Size {
  readonly depth: number;
  readonly aliases: number;
  readonly directives: number;
}

const NOTHING: Size = { depth: 0, aliases: 0, directives: 0 };

/** Counts levels, aliases and directives of selection sets. Examines each fragment once. */
class SizeCount {
  readonly #fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  readonly #known = new Map<string, Size>();

  constructor(fragments: ReadonlyMap<string, FragmentDefinitionNode>) {
    this.#fragments = fragments;
  }

  of(set: SelectionSetNode): Size {
    let [depth, aliases, directives] = [0, 0, 0];
    for (const node of set.selections) {
      const below = this.#below(node);
      const isAlias = node.kind === Kind.FIELD && node.alias !== undefined;
      depth = Math.max(depth, isSchemaField(node) ? 0 : 1 + below.depth);
      aliases += below.aliases + (isAlias ? 1 : 0);
      directives += below.directives + (node.directives?.length ?? 0);
    }
    return { depth, aliases, directives };
  }

  #below(node: SelectionNode): Size {
    if (node.kind !== Kind.FRAGMENT_SPREAD) return node.selectionSet ? this.of(node.selectionSet) : NOTHING;
    const name = node.name.value;
    const known = this.#known.get(name);
    if (known) return known;
    // A fragment that spreads itself counts nothing here, because validation refuses it.
    this.#known.set(name, NOTHING);
    const fragment = this.#fragments.get(name);
    const size = fragment ? this.of(fragment.selectionSet) : NOTHING;
    const counted = { ...size, depth: size.depth + 1 };
    this.#known.set(name, counted);
    return counted;
  }
}

function isSchemaField(node: SelectionNode): boolean {
  return node.kind === Kind.FIELD && node.name.value === '__schema';
}

/** Counts the pairs of fields that validation compares because they have one name in one object of the answer. */
class MergeCount {
  readonly #fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  #visits = 0;
  #pairs = 0;

  constructor(fragments: ReadonlyMap<string, FragmentDefinitionNode>) {
    this.#fragments = fragments;
  }

  get pairs(): number {
    return this.#pairs;
  }

  /** Counts the selection sets of one object. Throws a limit error. */
  count(sets: readonly SelectionSetNode[]): void {
    const groups = new Map<string, FieldNode[]>();
    const spread = new Set<string>();
    for (const set of sets) this.#collect(set, groups, spread);
    for (const group of groups.values()) {
      this.#pairs += (group.length * (group.length - 1)) / 2;
      if (this.#pairs > MAX_PAIRS) throw limitError('the document repeats fields too often');
      const below = group.flatMap(({ selectionSet }) => selectionSet ?? []);
      if (below.length > 0) this.count(below);
    }
  }

  #collect(set: SelectionSetNode, groups: Map<string, FieldNode[]>, spread: Set<string>): void {
    for (const node of set.selections) {
      this.#visits += 1;
      if (this.#visits > MAX_VISITS)
        throw limitError(`the document has more than ${MAX_VISITS} fields, counted where fragments are spread`);
      if (node.kind === Kind.FIELD) {
        const name = node.alias?.value ?? node.name.value;
        const group = groups.get(name);
        if (group) group.push(node);
        else groups.set(name, [node]);
      } else if (node.kind === Kind.INLINE_FRAGMENT) this.#collect(node.selectionSet, groups, spread);
      else if (!spread.has(node.name.value)) {
        spread.add(node.name.value);
        const fragment = this.#fragments.get(node.name.value);
        if (fragment) this.#collect(fragment.selectionSet, groups, spread);
      }
    }
  }
}
