/**
 * Finds the operation of a request, by its text or by the id of a registered operation, and decides whether it may run.
 * All GraphQL transports share this gate. The fast lane never refuses, so requests that it does not answer come here.
 *
 * Invariant: if only registered operations may run, `admit` reduces a request to the text that was looked up and its
 * variables. So no parser behind it can read another operation from the request.
 */
import type { FastifyRequest } from 'fastify';
import { type ExecutionArgs, GraphQLError } from 'graphql';
import { FStoreError } from '../errors.js';
import type { LiveSchema } from '../schema/live-schema.js';
import type { OperationCheck } from '../schema/operation-check.js';
import { checkVariables, isLimitError } from '../schema/operation-limits.js';
import {
  describeOperation,
  namedOperation,
  type OperationNaming,
  type RegisteredOperation,
} from '../schema/registered-operations.js';
import type { RequestContext } from '../schema/request-context.js';

/** The dependencies of an OperationGate, and which operations may run. */
export interface OperationGateOptions {
  readonly live: LiveSchema;
  readonly check: OperationCheck;
  readonly onlyRegistered: boolean;
  readonly ownDocuments: readonly string[];
}

/** What a client sends to run an operation. */
export interface OperationRequest extends OperationNaming {
  readonly query: string;
  readonly operationName?: string | null | undefined;
  readonly variables?: Record<string, unknown> | null | undefined;
}

interface FoundOperation {
  readonly text: string;
  readonly registered: RegisteredOperation | null;
}

const MAX_SHOWN = 80;
/** Headers of a GET request of a GraphQL client. Apollo examines the content type further. */
const CLIENT_HEADERS = ['apollo-require-preflight', 'x-apollo-operation-name', 'content-type'];
/** Fields of a request that are kept besides the text. */
const OTHERS = ['operationName', 'variables'];

function usable(operation: RegisteredOperation): FoundOperation {
  if (operation.fault !== null) {
    const message = `${describeOperation(operation)} does not fit the schema any more: ${operation.fault}`;
    throw new FStoreError('OPERATION_INVALID', message);
  }
  return { text: operation.text, registered: operation };
}

/** Decides which operations may run. */
export class OperationGate {
  readonly #options: OperationGateOptions;
  readonly #own: ReadonlySet<string>;

  constructor(options: OperationGateOptions) {
    this.#options = options;
    this.#own = new Set(options.ownDocuments.map((text) => text.trim()));
  }

  /**
   * Replaces the operation of a request to Apollo by its text. Throws BAD_REQUEST for a GET request that a page of another
   * site can cause. Throws PERSISTED_QUERY_NOT_FOUND and OPERATION_INVALID.
   * If only registered operations may run, also throws OPERATION_NOT_REGISTERED and BAD_REQUEST.
   */
  admit(request: FastifyRequest): void {
    if (request.method === 'POST') {
      const body = request.body as OperationRequest | null | undefined;
      const asked: Partial<OperationRequest> = typeof body === 'object' && body !== null ? body : {};
      const found = this.#find(asked);
      this.#checkLimits(found ? null : asked.query, asked.variables);
      if (!found) return;
      request.body = { query: found.text, ...only(OTHERS, body as unknown as Record<string, unknown>) };
      return;
    }
    requireClientHeader(request);
    const [path = '', search = ''] = request.raw.url?.split('?') ?? [];
    const parameters = new URLSearchParams(search);
    const found = this.#find({ ...Object.fromEntries(parameters), extensions: readJson(parameters.get('extensions')) });
    this.#checkLimits(found ? null : parameters.get('query'), readJson(parameters.get('variables')));
    if (!found) return;
    const others = only(OTHERS, Object.fromEntries(parameters));
    request.raw.url = `${path}?${new URLSearchParams({ query: found.text, ...others })}`;
  }

  /** Throws OPERATION_TOO_COMPLEX for a text or variables beyond the limits; Apollo reads both after this. */
  #checkLimits(text: unknown, variables: unknown): void {
    try {
      if (typeof text === 'string') this.#options.check.checkLimits(text);
      checkVariables(variables);
    } catch (error) {
      if (!isLimitError(error)) throw error;
      throw new FStoreError('OPERATION_TOO_COMPLEX', error.message, { field: 'query' });
    }
  }

  /** For the other doors: what to execute on the schema served now, or the findings. */
  prepare(request: OperationRequest, contextValue: RequestContext): ExecutionArgs | readonly GraphQLError[] {
    const { live, check } = this.#options;
    const { schema } = live.current;
    const { operationName = null, variables = null } = request;
    try {
      checkVariables(variables);
      const found = this.#find(request, false);
      let document = found?.registered?.read?.document;
      if (!document) {
        document = check.parse(found?.text ?? request.query);
        const findings = check.findings(schema, document);
        if (findings.length > 0) return findings;
      }
      return { schema, document, contextValue, operationName, variableValues: variables };
    } catch (error) {
      if (error instanceof GraphQLError) return [error];
      if (error instanceof FStoreError) return [new GraphQLError(error.message, { originalError: error })];
      throw error;
    }
  }

  /** Returns the operation of a request, or null if the request stays unchanged. */
  #find(request: OperationNaming, isForApollo = true): FoundOperation | null {
    const { live, onlyRegistered } = this.#options;
    const { operations } = live.current;
    const name = namedOperation(request);
    if (name !== null) {
      const found = operations.withId(name);
      if (found) return usable(found);
      // Apollo's automatic persisted queries: clients send an operation once in full, then by its hash.
      const isAutomatic = request.documentId === undefined && request.id === undefined;
      if (isAutomatic && isForApollo && !onlyRegistered) return null;
      const message = `no operation is registered as ${name.slice(0, MAX_SHOWN)}`;
      throw new FStoreError('PERSISTED_QUERY_NOT_FOUND', message, { field: isAutomatic ? 'extensions' : 'documentId' });
    }
    if (!onlyRegistered) return null;
    if (typeof request.query !== 'string' || request.query === '') {
      throw new FStoreError('BAD_REQUEST', 'the request has neither a document nor the id of one', { field: 'query' });
    }
    const text = request.query.trim();
    if (this.#own.has(text)) return { text, registered: null };
    const found = operations.withText(text);
    if (found) return usable(found);
    const message = `this document is not registered: ${text.slice(0, MAX_SHOWN)}`;
    throw new FStoreError('OPERATION_NOT_REGISTERED', message, { field: 'query' });
  }
}

/**
 * Throws BAD_REQUEST for a GET request without a header that a link cannot send. Apollo refuses these requests as well;
 * this error names the header.
 */
function requireClientHeader({ headers }: FastifyRequest): void {
  if (CLIENT_HEADERS.some((name) => headers[name])) return;
  const message = 'an operation by GET needs the header "apollo-require-preflight: true", which no link can send';
  throw new FStoreError('BAD_REQUEST', message, { field: 'apollo-require-preflight' });
}

function only<T>(names: readonly string[], object: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(object).filter(([name]) => names.includes(name)));
}

function readJson(text: string | null): unknown {
  try {
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
