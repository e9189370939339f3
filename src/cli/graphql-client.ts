/**
 * A client of FStore's GraphQL API: requests over fetch, subscriptions over graphql-ws.
 *
 * Boundary: the only file in this folder that uses the network. Every failure becomes a ServerError with a code, or an
 * FStoreError such as SERVER_UNREACHABLE. Errors of libraries never leave this file.
 */
import { createClient as createSocketClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { FStoreError } from '../errors.js';
import { type RemoteIssue, ServerError } from './failure.js';

const REQUEST_TIMEOUT = 60_000;
const MAX_RETRY_PAUSE = 10_000;
const CLOSE_FORBIDDEN = 4403;

/** A GraphQL document. Generated documents carry the types of variables and result; strings do not. */
export interface Operation<Result, Variables> {
  toString(): string;
  readonly __apiType?: ((variables: Variables) => Result) | undefined;
}

/** How to reach the server. */
export interface ClientOptions {
  /** Address of the server, such as http://127.0.0.1:4000. */
  readonly url: string;
  readonly apiKey?: string | undefined;
}

/** Options of a subscription besides document and variables. */
export interface SubscribeOptions {
  /** Aborting it ends the subscription without an error. */
  readonly signal?: AbortSignal;
  /** Called when the connection is established; `again` is true after it was lost. */
  readonly onConnected?: (again: boolean) => void;
  /** Called when the connection is lost, before it reconnects. */
  readonly onLost?: (reason: string) => void;
}

interface GraphqlError {
  readonly message: string;
  readonly extensions?: Readonly<Record<string, unknown>>;
}

interface GraphqlResult {
  readonly data?: unknown;
  readonly errors?: readonly GraphqlError[];
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function errorOf(message: string, extensions: Readonly<Record<string, unknown>>, httpStatus: number): ServerError {
  const { code, status, cause, cure, field, report, issues } = extensions;
  const details = Object.entries({ cause, cure, field, report }).filter(([, value]) => text(value) !== undefined);
  const fallback = Math.max(httpStatus, 400);
  return new ServerError(
    text(code) ?? (fallback >= 500 ? 'INTERNAL' : 'BAD_REQUEST'),
    typeof status === 'number' ? status : fallback,
    message,
    {
      ...Object.fromEntries(details),
      ...(Array.isArray(issues) ? { issues: issues as RemoteIssue[] } : {}),
    },
  );
}

/** Returns the data of a result. Throws its first error, if there is one. */
function dataOf<Result>({ data, errors }: GraphqlResult, httpStatus = 200): Result {
  const [error] = errors ?? [];
  if (error) throw errorOf(error.message, error.extensions ?? {}, httpStatus);
  return data as Result;
}

function systemMessage(error: unknown): string {
  const { cause, message } = error as Error;
  const system = cause as (Error & { code?: string }) | undefined;
  return system?.code ?? system?.message ?? message ?? String(error);
}

/** A client of one server. */
export class GraphqlClient {
  readonly #url: string;
  readonly #authorization: string | undefined;

  constructor({ url, apiKey }: ClientOptions) {
    this.#url = url.replace(/\/+$/, '').replace(/\/graphql$/, '');
    this.#authorization = apiKey ? `Bearer ${apiKey}` : undefined;
  }

  get url(): string {
    return this.#url;
  }

  /** Runs a query or a mutation. Throws ServerError, or SERVER_UNREACHABLE. */
  async request<Result, Variables>(operation: Operation<Result, Variables>, variables: Variables): Promise<Result> {
    let response: Response;
    let body: string;
    try {
      response = await fetch(`${this.#url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/graphql-response+json, application/json',
          ...(this.#authorization ? { authorization: this.#authorization } : {}),
        },
        body: JSON.stringify({ query: operation.toString(), variables }),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT),
      });
      body = await response.text();
    } catch (error) {
      throw this.#unreachable(error);
    }
    return dataOf<Result>(this.#read(body, response.status), response.status);
  }

  /** Requests a path of the REST API and returns the response with its body unread. Throws like `request`. */
  async rest(path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`${this.#url}${path}`, {
        ...init,
        // Allows a body that is a stream, which fetch sends while it reads it.
        ...(init.body ? { duplex: 'half' } : {}),
        headers: {
          ...(init.body ? { 'content-type': 'application/octet-stream' } : {}),
          ...(this.#authorization ? { authorization: this.#authorization } : {}),
        },
      });
      if (response.ok) return response;
    } catch (error) {
      throw this.#unreachable(error);
    }
    dataOf(this.#read(await response.text(), response.status), response.status);
    return response;
  }

  /**
   * Runs a subscription until it ends, `signal` is aborted or the caller stops. It reconnects after a lost connection,
   * with growing pauses. If the first connection fails, it throws SERVER_UNREACHABLE.
   */
  async *subscribe<Result, Variables extends Record<string, unknown>>(
    operation: Operation<Result, Variables>,
    variables: Variables,
    { signal, onConnected, onLost }: SubscribeOptions = {},
  ): AsyncGenerator<Result, void, void> {
    let stood = false;
    let stands = false;
    const socket = createSocketClient({
      url: `${this.#url.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      ...(this.#authorization ? { connectionParams: { authorization: this.#authorization } } : {}),
      keepAlive: 15_000,
      retryAttempts: Number.POSITIVE_INFINITY,
      retryWait: (retries) =>
        new Promise((resolve) => setTimeout(resolve, Math.min(MAX_RETRY_PAUSE, 250 * 2 ** Math.min(retries, 10)))),
      shouldRetry: (event) => stood && (event as { code?: number }).code !== CLOSE_FORBIDDEN,
      on: {
        connected: () => {
          onConnected?.(stood);
          stood = true;
          stands = true;
        },
        closed: (event) => {
          const { code, reason } = event as { code: number; reason: string };
          // A failed attempt to reconnect is not another loss.
          if (stands && code !== 1000 && !signal?.aborted) onLost?.(reason || `code ${code}`);
          stands = false;
        },
      },
    });
    const results = socket.iterate({ query: operation.toString(), variables });
    const stop = (): void => void results.return?.();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      if (signal?.aborted) return;
      for await (const result of results) yield dataOf<Result>(result as GraphqlResult);
    } catch (error) {
      throw this.#subscriptionError(error);
    } finally {
      signal?.removeEventListener('abort', stop);
      await socket.dispose();
    }
  }

  #read(body: string, status: number): GraphqlResult {
    try {
      const parsed = JSON.parse(body) as GraphqlResult & { error?: GraphqlError & Record<string, unknown> };
      // Checks before GraphQL (such as authentication and size) answer in the format of the REST API.
      if (parsed.error) return { errors: [{ message: parsed.error.message, extensions: parsed.error }] };
      if (parsed.data !== undefined || parsed.errors) return parsed;
    } catch {
      // The answer is not from FStore; the error below says so.
    }
    const shown = body.slice(0, 200).replace(/\s+/g, ' ').trim();
    const message = `${this.#url} does not answer as FStore does (HTTP ${status}): ${shown}`;
    throw new ServerError('SERVER_UNREACHABLE', 503, message, {
      cause: 'Something else listens at this address, or a proxy answers in its place.',
      cure: 'Give the address of an FStore server with --url.',
    });
  }

  #unreachable(error: unknown): FStoreError {
    const late = (error as Error).name === 'TimeoutError';
    const reason = late ? `no answer within ${REQUEST_TIMEOUT / 1000} s` : systemMessage(error);
    return new FStoreError('SERVER_UNREACHABLE', `${this.#url}: ${reason}`, {}, [], { cause: error });
  }

  #subscriptionError(error: unknown): Error {
    if (error instanceof ServerError || error instanceof FStoreError) return error;
    if (Array.isArray(error)) {
      const [first] = error as GraphqlError[];
      return errorOf(first?.message ?? 'the subscription was refused', first?.extensions ?? {}, 400);
    }
    const { code, reason, error: inner } = error as { code?: unknown; reason?: string; error?: unknown };
    if (code === CLOSE_FORBIDDEN) {
      return new FStoreError('UNAUTHENTICATED', reason ? `the server answered ${reason}` : 'the server refused');
    }
    if (inner) return this.#unreachable(inner);
    return this.#unreachable(error instanceof Error ? error : new Error(reason || `closed with code ${String(code)}`));
  }
}
