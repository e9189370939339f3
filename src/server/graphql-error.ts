/** The errors that clients see: FStore's errors unchanged, GraphQL's own errors, and nothing of any other error. */
import { type ExecutionResult, type FormattedExecutionResult, GraphQLError, type GraphQLFormattedError } from 'graphql';
import { ERRORS, FStoreError } from '../errors.js';
import { systemError } from '../system-error.js';

/** Logs an unexpected error. Returns the id under which it was logged. */
export type ReportDefect = (error: unknown) => string;

function unwrap(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError ? unwrap(error.originalError) : error;
}

/** Returns an error in the form of a GraphQL answer. An unexpected error is reported, and only its path is shown. */
export function formatGraphqlError(
  formatted: GraphQLFormattedError,
  error: unknown,
  report: ReportDefect,
): GraphQLFormattedError {
  const cause = unwrap(error);
  const { locations, path } = formatted;
  const place = { ...(locations ? { locations } : {}), ...(path ? { path } : {}) };
  const known = cause instanceof FStoreError ? cause : systemError(cause, 'reason');
  if (known) {
    // The operator can mend it: the log names the path, and the client sees the reason.
    if (known !== cause) report(error);
    return { message: known.message, ...place, extensions: known.extensions };
  }
  const limit = formatted.extensions?.limit;
  if (limit) {
    const { cause: why, cure, status } = ERRORS.OPERATION_TOO_COMPLEX;
    return {
      message: formatted.message,
      ...place,
      extensions: { code: 'OPERATION_TOO_COMPLEX', status, cause: why, cure },
    };
  }
  // GraphQL's own errors (syntax, validation, coercion) have no original error.
  if (cause instanceof GraphQLError) {
    const { stacktrace: _, ...extensions } = formatted.extensions ?? {};
    return { message: formatted.message, ...place, extensions: { code: 'BAD_REQUEST', ...extensions } };
  }
  const { cure, status } = ERRORS.INTERNAL;
  return { message: 'Internal error', ...place, extensions: { code: 'INTERNAL', status, cure, report: report(error) } };
}

/** Applies `formatGraphqlError` to errors that Apollo Server does not format (WebSocket, SSE). */
export function formatErrors(errors: readonly Error[], report: ReportDefect): GraphQLFormattedError[] {
  return errors.map((error) => {
    const formatted = error instanceof GraphQLError ? error.toJSON() : { message: error.message };
    return formatGraphqlError(formatted, error, report);
  });
}

/** A result as the libraries of the transports pass it. */
type GraphqlResult = { [Name in keyof ExecutionResult]?: ExecutionResult[Name] | undefined };

/** Applies `formatErrors` to a result. */
export function formatResult(result: GraphqlResult, report: ReportDefect): FormattedExecutionResult {
  const formatted = result.errors?.length ? { ...result, errors: formatErrors(result.errors, report) } : result;
  return formatted as FormattedExecutionResult;
}
