/**
 * Decides whether the origin of a request may use this server. Prevents requests of pages of other sites (CSRF), and
 * DNS rebinding.
 *
 * Invariants
 * 1. One policy applies to every endpoint and to WebSocket upgrades. So no endpoint is open to a page that another one
 *    refuses.
 * 2. A request without `Origin` and without `Sec-Fetch-Site` is not a browser's cross-site request, and passes.
 * 3. Without API keys, only requests whose `Host` is a loopback name are answered. Otherwise a site could point its own
 *    name at 127.0.0.1 and read answers as its own.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { FStoreError } from '../errors.js';

/** Which origins may use this server. */
export interface OriginPolicyOptions {
  /** Origins of other sites whose pages may use this server, as `scheme://host[:port]`. */
  readonly corsOrigins: readonly string[];
  /** True if requests need an API key, which a page of another site does not know. */
  readonly hasKeys: boolean;
}

/** The part of a request that the policy examines. */
export interface RequestHead {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** `pass`: not a request of another site; `cross-origin`: a request of an allowed origin; an error: refused. */
export type OriginVerdict = 'pass' | 'cross-origin' | FStoreError;

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
/**
 * Pages that a link on another site may open. They run no operation, because Apollo refuses GET requests that a link
 * can cause.
 */
const LINKED_PAGES: ReadonlySet<string> = new Set(['/', '/graphql']);
const ALLOWED_METHODS = 'GET, POST, OPTIONS';
const ALLOWED_HEADERS = [
  'authorization',
  'content-type',
  'accept',
  'apollo-require-preflight',
  'last-event-id',
  'x-request-id',
];
const EXPOSED_HEADERS = 'retry-after, content-disposition, x-request-id';
/**
 * How long a browser may cache the answer to a preflight, in seconds. No browser caches it for more than two hours.
 */
const PREFLIGHT_AGE = '7200';
const MAX_SHOWN = 100;

/** Judges requests by their `Host`, `Origin` and `Sec-Fetch-Site` headers. */
export class OriginPolicy {
  readonly #origins: ReadonlySet<string>;
  readonly #hasKeys: boolean;
  /** The last `Host` that passed, because almost all requests have the same. */
  #lastHost: string | undefined;

  constructor({ corsOrigins, hasKeys }: OriginPolicyOptions) {
    this.#origins = new Set(corsOrigins);
    this.#hasKeys = hasKeys;
  }

  /** Returns the verdict on a request. ORIGIN_FORBIDDEN and HOST_FORBIDDEN are returned, not thrown. */
  judge({ method, url = '', headers }: RequestHead): OriginVerdict {
    const { host, origin, 'sec-fetch-site': site } = headers;
    if (!this.#hasKeys && host !== this.#lastHost && host !== undefined) {
      if (!LOOPBACK.test(host)) {
        const message = `without an API key requests to ${JSON.stringify(host.slice(0, MAX_SHOWN))} are not answered`;
        return new FStoreError('HOST_FORBIDDEN', message, { field: 'Host' });
      }
      this.#lastHost = host;
    }
    if (origin === undefined) {
      // Only browsers send Sec-Fetch-Site. Links and images have no Origin; all other cross-site requests have one.
      if (site !== 'cross-site' && site !== 'same-site') return 'pass';
      const isLink = headers['sec-fetch-mode'] === 'navigate' && method === 'GET';
      if (isLink && LINKED_PAGES.has(url.split('?', 1)[0]!)) return 'pass';
      const message = 'a page of another site caused this request';
      return new FStoreError('ORIGIN_FORBIDDEN', message, { field: 'Sec-Fetch-Site' });
    }
    if (site === 'same-origin' || isOwn(origin, host)) return 'pass';
    if (this.#origins.has(origin)) return 'cross-origin';
    const message = `pages of ${JSON.stringify(origin.slice(0, MAX_SHOWN))} may not use this server`;
    return new FStoreError('ORIGIN_FORBIDDEN', message, { field: 'Origin' });
  }
}

function isOwn(origin: string, host: string | undefined): boolean {
  // A proxy may terminate TLS, so the scheme of the request is not known.
  return host !== undefined && /^https?:\/\//.test(origin) && origin.slice(origin.indexOf('://') + 3) === host;
}

/** Returns the headers with which a page of an allowed origin may read an answer. */
export function crossOriginHeaders(origin: string): Readonly<Record<string, string>> {
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': EXPOSED_HEADERS,
    vary: 'Origin',
  };
}

/** Returns whether a request is a preflight. */
export function isPreflight({ method, headers }: RequestHead): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;
}

/**
 * Returns the headers of the answer to a preflight of an allowed origin. They also permit the `x-fstore-*` headers of
 * FStore's own clients.
 */
export function preflightHeaders({ headers }: RequestHead): Readonly<Record<string, string>> {
  const asked = (headers['access-control-request-headers'] ?? '').toLowerCase().split(',');
  const own = asked.map((name) => name.trim()).filter((name) => /^x-fstore-[a-z0-9-]{1,40}$/.test(name));
  return {
    'access-control-allow-origin': headers.origin ?? '',
    'access-control-allow-methods': ALLOWED_METHODS,
    'access-control-allow-headers': [...ALLOWED_HEADERS, ...own.slice(0, 10)].join(', '),
    'access-control-max-age': PREFLIGHT_AGE,
    vary: 'Origin, Access-Control-Request-Headers',
  };
}
