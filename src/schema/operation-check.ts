/** Checks that every transport applies to a document: the rules of GraphQL, and limits on size. */
import { type DocumentNode, GraphQLError, type GraphQLSchema, parse, specifiedRules, validate } from 'graphql';
import { checkDocument, checkNesting, isLimitError, limitError, type OperationLimits } from './operation-limits.js';

const MAX_FINDINGS = 20;
/** How many texts within the limits are remembered, and the length of the longest one. */
const MAX_KNOWN = 1_000;
const MAX_KNOWN_LENGTH = 16_384;

/** Checks documents against the limits and a schema. */
export class OperationCheck {
  readonly #limits: OperationLimits;
  #known = new Set<string>();

  constructor(limits: OperationLimits) {
    this.#limits = limits;
  }

  get maxTokens(): number {
    return this.#limits.maxTokens;
  }

  /** Parses a document that is within the limits. Throws GraphQLError: a syntax error, or a limit error. */
  parse(text: string): DocumentNode {
    checkNesting(text);
    const document = withinStack(() => this.#parse(text));
    withinStack(() => checkDocument(document, this.#limits));
    return document;
  }

  /**
   * Throws a limit error for a text that exceeds the limits. A text that is not a document passes; the parser of the
   * transport refuses it.
   */
  checkLimits(text: string): void {
    if (this.#known.has(text)) return;
    try {
      this.parse(text);
    } catch (error) {
      if (isLimitError(error) || !(error instanceof GraphQLError)) throw error;
      return;
    }
    if (text.length > MAX_KNOWN_LENGTH) return;
    if (this.#known.size >= MAX_KNOWN) this.#known = new Set();
    this.#known.add(text);
  }

  /** Returns the errors of a document on a schema, at most `max` and one that says that there are more. */
  findings(schema: GraphQLSchema, document: DocumentNode, max = MAX_FINDINGS): readonly GraphQLError[] {
    try {
      return withinStack(() => validate(schema, document, specifiedRules, { maxErrors: max }));
    } catch (error) {
      if (isLimitError(error)) return [error];
      throw error;
    }
  }

  #parse(text: string): DocumentNode {
    try {
      return parse(text, { maxTokens: this.maxTokens });
    } catch (error) {
      if (!(error instanceof GraphQLError) || !/more that \d+ tokens/.test(error.message)) throw error;
      throw limitError(`the document has more than ${this.maxTokens} tokens (FSTORE_MAX_TOKENS)`);
    }
  }
}

/** Calls `work`, which uses the stack for nested values. Throws a limit error if the stack overflows. */
function withinStack<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw limitError('the document is nested too deep');
    throw error;
  }
}
