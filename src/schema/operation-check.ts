/** The checks of a document that all transports apply: the rules of GraphQL, and limits on size. */
import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  parse,
  specifiedRules,
  type ValidationRule,
  validate,
} from 'graphql';

const MAX_DIRECTIVES = 50;
const MAX_FINDINGS = 20;

/** Limits on the size of a document. */
export interface OperationLimits {
  readonly maxDepth: number;
  readonly maxAliases: number;
  readonly maxTokens: number;
}

function limitRules(limits: OperationLimits): ValidationRule[] {
  // Reported instead of thrown, so that an exceeded limit is one issue of validation like all others.
  const reporting = {
    propagateOnRejection: false,
    onReject: [
      (context: { reportError(error: GraphQLError): void } | null, error: GraphQLError): void =>
        context?.reportError(new GraphQLError(error.message, { extensions: { limit: true } })),
    ],
  };
  return [
    maxDepthRule({ n: limits.maxDepth, ignoreIntrospection: true, ...reporting }),
    maxAliasesRule({ n: limits.maxAliases, ...reporting }),
    maxDirectivesRule({ n: MAX_DIRECTIVES, ...reporting }),
  ] as ValidationRule[];
}

/** Checks documents against the limits and a schema. */
export class OperationCheck {
  /** The rules that limit the size of a document; GraphQL's own rules apply in addition. */
  readonly rules: readonly ValidationRule[];
  readonly maxTokens: number;

  constructor(limits: OperationLimits) {
    this.rules = limitRules(limits);
    this.maxTokens = limits.maxTokens;
  }

  /** Parses a document. Throws GraphQLError for a syntax error or too many tokens. */
  parse(text: string): DocumentNode {
    return parse(text, { maxTokens: this.maxTokens });
  }

  /** Returns the issues of a document against a schema; empty if it is valid. */
  findings(schema: GraphQLSchema, document: DocumentNode): readonly GraphQLError[] {
    return validate(schema, document, [...specifiedRules, ...this.rules], { maxErrors: MAX_FINDINGS });
  }
}
