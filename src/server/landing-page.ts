/**
 * The page that a browser gets at `/` and `/graphql`, with GraphiQL, and the schema as text.
 *
 * Invariants
 * 1. The page and its files answer without a key, so they name addresses only. The schema requires a key where keys are
 *    set.
 * 2. The page loads files of this server only and has no inline script; its Content-Security-Policy enforces both.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type GraphQLSchema, printSchema } from 'graphql';
import { FStoreError } from '../errors.js';
import type { LiveSchema } from '../schema/live-schema.js';
import { GRAPHQL_PATH } from './http-error.js';

const FOLDER = new URL('../assets/', import.meta.url);
const ASSET_PATH = '/graphiql/';
const SCHEMA_PATH = '/schema.graphql';
const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';
/** The files that the page loads, in this order, with their content types. */
const ASSETS: ReadonlyMap<string, string> = new Map([
  ['graphiql.min.css', STYLE],
  ['page.css', STYLE],
  ['react.production.min.js', SCRIPT],
  ['react-dom.production.min.js', SCRIPT],
  ['graphiql.min.js', SCRIPT],
  ['explorer.js', SCRIPT],
]);
/** GraphiQL's editor and menus write `<style>` elements; its style sheet holds fonts and images as data. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  'font-src data:',
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
];
const SAFE_HEADERS = {
  'content-security-policy': POLICY.join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};
const ADDRESSES: readonly (readonly [address: string, purpose: string])[] = [
  ['POST /graphql', 'GraphQL: queries and mutations'],
  ['WebSocket /graphql', 'GraphQL subscriptions (graphql-transport-ws)'],
  ['POST /graphql/stream', 'GraphQL subscriptions over server-sent events'],
  ['POST /api/v1/sources/&lt;source&gt;/events', 'REST: push events of a source'],
  ['GET /api/v1/views/&lt;view&gt;/values/&lt;key&gt;', 'REST: read the newest values of one entity'],
  ['POST /api/v1/training-sets', 'REST: build a training set'],
];
const LINKS: readonly (readonly [path: string, purpose: string])[] = [
  [SCHEMA_PATH, 'The GraphQL schema as text (SDL)'],
  ['/metrics', 'Metrics for Prometheus'],
  ['/health', 'Whether the process runs'],
  ['/ready', 'Whether the stores answer'],
];
/** Parameters of an operation in a GET request. A GET request with one of them runs or is refused; it gets no page. */
const OPERATION_PARAMETERS = ['query', 'documentId', 'id', 'extensions', 'variables', 'operationName'];

interface Asset {
  readonly bytes: Buffer;
  readonly type: string;
  readonly tag: string;
}

function pageOf(hasKeys: boolean): string {
  const rows = [
    ...ADDRESSES.map(([address, purpose]) => `<tr><td><code>${address}</code></td><td>${purpose}</td></tr>`),
    ...LINKS.map(
      ([path, purpose]) => `<tr><td><a href="${path}"><code>GET ${path}</code></a></td><td>${purpose}</td></tr>`,
    ),
  ];
  const loaded = [...ASSETS].map(([name, type]) => {
    const path = `${ASSET_PATH}${name}`;
    return type === STYLE ? `<link rel="stylesheet" href="${path}">` : `<script src="${path}" defer></script>`;
  });
  const key = hasKeys
    ? `<p>Requests need an API key; a link that needs one answers 401 in a browser. In GraphiQL, write the key into the
tab <b>Headers</b>: <code>{"authorization": "Bearer &lt;key&gt;"}</code>, then re-fetch the schema. The browser does not
store it.</p>`
    : '';
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>FStore</title><link rel="icon" href="data:,">
${loaded.join('\n')}
</head>
<body>
<header><h1>FStore</h1> A feature store whose API is GraphQL.${key}
<details><summary>Addresses</summary><table>
${rows.join('\n')}
</table></details>
<noscript><p>GraphiQL needs JavaScript.</p></noscript></header>
<div id="graphiql"></div>
</body>
</html>
`;
}

async function readAsset(name: string, type: string): Promise<Asset> {
  const bytes = await readFile(new URL(name, FOLDER));
  return { bytes, type, tag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` };
}

function isPage(path: string, search: string, { headers }: FastifyRequest): boolean {
  if (path === '/') return true;
  if (path !== GRAPHQL_PATH || !(headers.accept ?? '').includes('text/html')) return false;
  const parameters = new URLSearchParams(search);
  return OPERATION_PARAMETERS.every((name) => !parameters.has(name));
}

/** Answers the page and its files. Call it before the hook that asks for a key is added. */
export function registerLandingPage(app: FastifyInstance, hasKeys: boolean): void {
  const page = pageOf(hasKeys);
  const assets = new Map<string, Promise<Asset>>();
  app.addHook('onRequest', async (request, reply) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return;
    const [path = '', search = ''] = request.url.split('?', 2);
    if (isPage(path, search, request)) {
      reply.headers({ ...SAFE_HEADERS, 'cache-control': 'no-cache', vary: 'Accept' });
      return reply.type('text/html; charset=utf-8').send(page);
    }
    const name = path.startsWith(ASSET_PATH) ? path.slice(ASSET_PATH.length) : '';
    const type = ASSETS.get(name);
    if (!type) return;
    const reading = assets.get(name) ?? readAsset(name, type);
    assets.set(name, reading);
    const { bytes, tag } = await reading;
    // Browsers ask again after an hour, and get 304 unless a new version of FStore has other files.
    reply.headers({ ...SAFE_HEADERS, 'cache-control': 'public, max-age=3600', etag: tag }).type(type);
    return request.headers['if-none-match'] === tag ? reply.code(304).send() : reply.send(bytes);
  });
}

/** Registers `GET /schema.graphql`. Throws OPERATION_NOT_REGISTERED where only registered operations run. */
export function registerSchemaText(app: FastifyInstance, live: LiveSchema, onlyRegistered: boolean): void {
  const printed = new WeakMap<GraphQLSchema, string>();
  app.get(SCHEMA_PATH, async (_, reply) => {
    if (onlyRegistered) {
      const message = 'this server runs registered operations only and does not show its schema';
      throw new FStoreError('OPERATION_NOT_REGISTERED', message);
    }
    const { schema } = live.current;
    const text = printed.get(schema) ?? printSchema(schema);
    printed.set(schema, text);
    return reply
      .headers({ ...SAFE_HEADERS, 'cache-control': 'no-cache' })
      .type('text/plain; charset=utf-8')
      .send(text);
  });
}
