/** What every door asks of a document: the rules of GraphQL, and limits on size. */
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

export interface OperationLimits {
  readonly maxDepth: number;
  readonly maxAliases: number;
  readonly maxTokens: number;
}

function limitRules(limits: OperationLimits): ValidationRule[] {
  // Reported rather than thrown, so that a limit is one finding of validation like every other.
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

export class OperationCheck {
  /** The rules that hold a document within the limits; those of GraphQL come beside them. */
  readonly rules: readonly ValidationRule[];
  readonly maxTokens: number;

  constructor(limits: OperationLimits) {
    this.rules = limitRules(limits);
    this.maxTokens = limits.maxTokens;
  }

  /** Throws GraphQLError: a syntax error, or too many tokens. */
  parse(text: string): DocumentNode {
    return parse(text, { maxTokens: this.maxTokens });
  }

  /** What is wrong with a document, against a schema. */
  findings(schema: GraphQLSchema, document: DocumentNode): readonly GraphQLError[] {
    return validate(schema, document, [...specifiedRules, ...this.rules], { maxErrors: MAX_FINDINGS });
  }
}
