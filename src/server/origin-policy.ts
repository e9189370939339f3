/**
 * Decides whether a request may come from where it says it comes from: pages of other sites (CSRF) and DNS rebinding.
 *
 * Invariants
 * 1. One policy for every address and for WebSocket upgrades, so that no address is open to a page that another address refuses.
 * 2. A request without `Origin` and without `Sec-Fetch-Site` is not a browser's cross-site request; it passes.
 * 3. Without an API key only names of loopback in `Host` are answered. Otherwise a site could point its own name at 127.0.0.1
 *    and read answers as if they were its own.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { FStoreError } from '../errors.js';

export interface OriginPolicyOptions {
  /** Origins of other sites whose pages may use this server, as `scheme://host[:port]`. */
  readonly corsOrigins: readonly string[];
  /** Whether requests need an API key, which a page of another site does not know. */
  readonly hasKeys: boolean;
}

/** The part of a request that the policy looks at. */
export interface RequestHead {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** `pass`: not a request of another site; `cross-origin`: of a named origin; an error: refused. */
export type OriginVerdict = 'pass' | 'cross-origin' | FStoreError;

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
/** Pages that a link on another site may open. They run no operation: Apollo refuses a GET that a link can cause. */
const LINKED_PAGES: ReadonlySet<string> = new Set(['/', '/graphql']);
const ALLOWED_METHODS = 'GET, POST, OPTIONS';
const ALLOWED_HEADERS = ['authorization', 'content-type', 'accept', 'apollo-require-preflight', 'last-event-id'];
const EXPOSED_HEADERS = 'retry-after, content-disposition, x-request-id';
/** Seconds for which a browser may remember the answer to a preflight; more than two hours no browser does. */
const PREFLIGHT_AGE = '7200';
const MAX_SHOWN = 100;

export class OriginPolicy {
  readonly #origins: ReadonlySet<string>;
  readonly #hasKeys: boolean;
  /** The last `Host` that passed: almost every request has the same. */
  #lastHost: string | undefined;

  constructor({ corsOrigins, hasKeys }: OriginPolicyOptions) {
    this.#origins = new Set(corsOrigins);
    this.#hasKeys = hasKeys;
  }

  /** The verdict on a request: ORIGIN_FORBIDDEN and HOST_FORBIDDEN are returned and not thrown. */
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
      // Set by browsers alone. Other requests of other sites have an Origin; links and images have none.
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
  // A proxy may end TLS, so the scheme is not known here.
  return host !== undefined && /^https?:\/\//.test(origin) && origin.slice(origin.indexOf('://') + 3) === host;
}

/** Headers that let a page of a named origin read an answer. */
export function crossOriginHeaders(origin: string): Readonly<Record<string, string>> {
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': EXPOSED_HEADERS,
    vary: 'Origin',
  };
}

/** Whether a request asks if another one would be allowed. */
export function isPreflight({ method, headers }: RequestHead): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;
}

/** Headers of the answer to a preflight of a named origin. Headers that FStore's own clients send (`x-fstore-*`) are allowed too. */
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
