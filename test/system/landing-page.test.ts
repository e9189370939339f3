/** The page that a browser gets, over HTTP. No browser takes part. */
import { createHash } from 'node:crypto';
import { get as getByHttp } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildClientSchema, buildSchema, getIntrospectionQuery } from 'graphql';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const KEY = 'a-key-of-this-test';
const HASH = createHash('sha256').update(KEY).digest('hex');
const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
const JSON_TYPE = { 'content-type': 'application/json' };
const WITH_KEY = { authorization: `Bearer ${KEY}` };
const PREFLIGHT = { 'apollo-require-preflight': 'true' };

let platform: Platform;
let servers: ReadonlyMap<string, FStoreProcess>;
beforeAll(async () => {
  platform = await createPlatform('embedded');
  const open = await platform.start();
  const second = { FSTORE_DATA_DIR: `${platform.folder}-keys`, FSTORE_API_KEY_SHA256: HASH };
  const closed = await platform.start({ environment: second });
  servers = new Map([
    ['without a key', open],
    ['with a key', closed],
  ]);
});
afterAll(() => platform.drop());

function get(form: string, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
  return fetch(`${servers.get(form)?.url}${path}`, { method, headers, redirect: 'manual' });
}

const addressesIn = (page: string): string[] =>
  [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = '']) => path);

describe.each(['without a key', 'with a key'])('a server %s', (form) => {
  test.each(['/', '/graphql', '/?utm_source=mail', '/graphql?utm_source=mail'])(
    'shows its page at %s',
    async (path) => {
      const response = await get(form, path, BROWSER);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(await response.text()).toContain('<h1>FStore</h1>');
    },
  );

  test('the page names every address, and shows nothing of the project', async () => {
    const page = await (await get(form, '/', BROWSER)).text();
    for (const path of [
      '/graphql',
      '/graphql/stream',
      '/api/v1/',
      '/schema.graphql',
      '/metrics',
      '/health',
      '/ready',
    ]) {
      expect(page).toContain(path);
    }
    expect(page.includes('Bearer')).toBe(form === 'with a key');
    expect(page).not.toContain(platform.project);
  });

  test('the page has no inline script and no address of another server', async () => {
    const page = await (await get(form, '/', BROWSER)).text();
    expect(page).not.toMatch(/<script(?![^>]* src=)|<style| style=| on[a-z]+="|https?:|"\/\//);
    expect(addressesIn(page).filter((path) => !path.startsWith('/'))).toEqual(['data:,']);
  });

  test('every file that the page names is served with its type, a tag and the policy', async () => {
    const page = await (await get(form, '/', BROWSER)).text();
    const files = addressesIn(page).filter((path) => path.startsWith('/graphiql/'));
    expect(files).toHaveLength(6);
    for (const path of files) {
      const response = await get(form, path);
      expect(response.status).toBe(200);
      const type = path.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8';
      expect(response.headers.get('content-type')).toBe(type);
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
      expect(response.headers.get('cache-control')).toBe('public, max-age=3600');
      expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(100);
      const again = await get(form, path, { 'if-none-match': response.headers.get('etag') ?? '' });
      expect(again.status).toBe(304);
    }
  });

  test('the policy lets only scripts of this server run, and no page frame it', async () => {
    const { headers } = await get(form, '/', BROWSER);
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/default-src 'none'; script-src 'self'; /);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe-eval|\*|https?:/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('set-cookie')).toBeNull();
  });

  test('HEAD / answers without a body', async () => {
    const response = await get(form, '/', {}, 'HEAD');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await response.text()).toBe('');
  });

  test.each([
    '/graphiql/',
    '/graphiql/none.js',
    '/graphiql/../main.js',
    '/graphiql/%2e%2e%2fmain.js',
    '/graphiql/..%5cmain.js',
  ])('%s is not a file of the page', async (path) => {
    const response = await get(form, path, WITH_KEY);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('NOT_FOUND');
  });

  test('a link of another site opens the page, and reads no file and no schema', async () => {
    const link = { ...BROWSER, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    // `fetch` sets Sec-Fetch-Mode itself.
    const statusOf = (path: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const url = `${servers.get(form)?.url}${path}`;
        getByHttp(url, { headers: link, agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).on('error', reject);
      });
    const paths = ['/', '/graphql', '/schema.graphql', '/graphiql/explorer.js'];
    expect(await Promise.all(paths.map(statusOf))).toEqual([200, 200, 403, 403]);
  });

  test.each(['/graphql?query=%7B__typename%7D', '/graphql?documentId=none', '/graphql?extensions=%7B%7D'])(
    'an operation by GET (%s) is refused, and the error names the header that it needs',
    async (path) => {
      const response = await get(form, path, { ...BROWSER, ...WITH_KEY });
      expect(response.status).toBe(400);
      const { errors } = (await response.json()) as { errors: { message: string; extensions: unknown }[] };
      expect(errors[0]?.message).toContain('apollo-require-preflight: true');
      expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_REQUEST', field: 'apollo-require-preflight' });
    },
  );

  test('an operation by GET with that header runs', async () => {
    const headers = { accept: 'application/json', ...PREFLIGHT, ...WITH_KEY };
    const response = await get(form, '/graphql?query=%7B__typename%7D', headers);
    expect(await response.json()).toEqual({ data: { __typename: 'Query' } });
    const unknown = await get(form, '/graphql?documentId=none', headers);
    expect(await unknown.text()).toContain('PERSISTED_QUERY_NOT_FOUND');
  });

  test('/schema.graphql is the schema', async () => {
    const response = await get(form, '/schema.graphql', WITH_KEY);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(buildSchema(await response.text()).getQueryType()?.name).toBe('Query');
  });

  test('the query with which GraphiQL reads the schema is within the limits', async () => {
    const body = JSON.stringify({ query: getIntrospectionQuery(), operationName: 'IntrospectionQuery' });
    const init = { method: 'POST', headers: { ...JSON_TYPE, ...WITH_KEY }, body };
    const response = await fetch(`${servers.get(form)?.url}/graphql`, init);
    const { data } = (await response.json()) as { data: Parameters<typeof buildClientSchema>[0] };
    expect(buildClientSchema(data).getQueryType()?.name).toBe('Query');
  });
});

test('with keys, the schema needs one', async () => {
  const response = await get('with a key', '/schema.graphql', BROWSER);
  expect(response.status).toBe(401);
  expect(await response.text()).not.toContain('type Query');
});
