/** What every transport asks of a document: the rules of GraphQL, and limits on size. */
import { type DocumentNode, GraphQLError, type GraphQLSchema, parse, specifiedRules, validate } from 'graphql';
import { checkDocument, checkNesting, isLimitError, limitError, type OperationLimits } from './operation-limits.js';

const MAX_FINDINGS = 20;
/** Texts within the limits that are remembered, and the longest of them. */
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

  /** Throws a limit error for a text that is beyond the limits; one that is no document passes, and is refused by whoever reads it next. */
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

  /** What is wrong with a document, against a schema; at most `max` findings. */
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

/** Does work that uses the stack for what is nested. Throws a limit error if the stack does not suffice. */
function withinStack<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw limitError('the document is nested too deep');
    throw error;
  }
}
