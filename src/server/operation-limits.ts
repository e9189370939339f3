/** Limits on operations, one set of rules for HTTP, WebSocket and SSE. */
import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import { type ExecutionArgs, GraphQLError, parse, specifiedRules, type ValidationRule, validate } from 'graphql';
import type { LiveSchema } from '../schema/live-schema.js';
import type { RequestContext } from '../schema/request-context.js';

const MAX_DIRECTIVES = 50;

export interface OperationLimits {
  readonly maxDepth: number;
  readonly maxAliases: number;
  readonly maxTokens: number;
}

/** The validation rules that hold an operation within the limits. */
export function limitRules(limits: OperationLimits): ValidationRule[] {
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

/** What a client sends to run an operation. */
export interface OperationRequest {
  readonly query: string;
  readonly operationName?: string | null | undefined;
  readonly variables?: Record<string, unknown> | null | undefined;
}

/** Parses and validates an operation against the schema served now; returns what to execute, or the findings. */
export function prepareOperation(
  request: OperationRequest,
  live: LiveSchema,
  limits: OperationLimits,
  rules: readonly ValidationRule[],
  context: RequestContext,
): ExecutionArgs | readonly GraphQLError[] {
  const { schema } = live.current;
  try {
    const document = parse(request.query, { maxTokens: limits.maxTokens });
    const errors = validate(schema, document, [...specifiedRules, ...rules], { maxErrors: 20 });
    if (errors.length > 0) return errors;
    return {
      schema,
      document,
      contextValue: context,
      operationName: request.operationName ?? null,
      variableValues: request.variables ?? null,
    };
  } catch (error) {
    if (error instanceof GraphQLError) return [error];
    throw error;
  }
}
