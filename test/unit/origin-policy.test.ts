import { describe, expect, test } from '@jest/globals';
import { FStoreError } from '../../src/errors.js';
import {
  crossOriginHeaders,
  OriginPolicy,
  preflightHeaders,
  type RequestHead,
} from '../../src/server/origin-policy.js';

const NAMED = 'https://dashboard.example';
const open = new OriginPolicy({ corsOrigins: [NAMED], hasKeys: false });
const keyed = new OriginPolicy({ corsOrigins: [NAMED], hasKeys: true });

function verdict(policy: OriginPolicy, head: RequestHead): string {
  const found = policy.judge({ method: 'POST', url: '/graphql', ...head });
  return found instanceof FStoreError ? found.code : found;
}

const local = { host: '127.0.0.1:4000' };

describe('the origin policy', () => {
  const origins: [string, RequestHead['headers'], string][] = [
    ['no Origin', {}, 'pass'],
    ['the own Origin', { origin: 'http://127.0.0.1:4000' }, 'pass'],
    ['the own Origin behind TLS', { origin: 'https://127.0.0.1:4000' }, 'pass'],
    [
      'the own Origin of a proxy that changes Host',
      { origin: 'https://a.example', 'sec-fetch-site': 'same-origin' },
      'pass',
    ],
    ['a named Origin', { origin: NAMED }, 'cross-origin'],
    ['a named Origin with another port', { origin: `${NAMED}:444` }, 'ORIGIN_FORBIDDEN'],
    ['a named Origin with another scheme', { origin: 'http://dashboard.example' }, 'ORIGIN_FORBIDDEN'],
    ['a suffix of a named Origin', { origin: `${NAMED}.evil.example` }, 'ORIGIN_FORBIDDEN'],
    ['a foreign Origin', { origin: 'http://evil.example' }, 'ORIGIN_FORBIDDEN'],
    ['another port of this machine', { origin: 'http://127.0.0.1:3000' }, 'ORIGIN_FORBIDDEN'],
    ['another name of this machine', { origin: 'http://localhost:4000' }, 'ORIGIN_FORBIDDEN'],
    ['the Origin null', { origin: 'null' }, 'ORIGIN_FORBIDDEN'],
    ['an empty Origin', { origin: '' }, 'ORIGIN_FORBIDDEN'],
    ['two Origins', { origin: `${NAMED}, http://evil.example` }, 'ORIGIN_FORBIDDEN'],
    ['a file', { origin: 'file://127.0.0.1:4000' }, 'ORIGIN_FORBIDDEN'],
    ['a cross-site request without Origin', { 'sec-fetch-site': 'cross-site' }, 'ORIGIN_FORBIDDEN'],
    ['a request of another port without Origin', { 'sec-fetch-site': 'same-site' }, 'ORIGIN_FORBIDDEN'],
    ['an address that was typed', { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' }, 'pass'],
    ['a request of an own page without Origin', { 'sec-fetch-site': 'same-origin' }, 'pass'],
  ];
  test.each(origins)('judges %s alike with and without API keys', (_, headers, expected) => {
    for (const policy of [open, keyed]) expect(verdict(policy, { headers: { ...local, ...headers } })).toBe(expected);
  });

  const links: [string, string, string, string][] = [
    ['GET', '/', 'navigate', 'pass'],
    ['GET', '/graphql', 'navigate', 'pass'],
    ['GET', '/graphql?query={__typename}', 'navigate', 'pass'],
    ['POST', '/graphql', 'navigate', 'ORIGIN_FORBIDDEN'],
    ['GET', '/graphql', 'no-cors', 'ORIGIN_FORBIDDEN'],
    ['GET', '/graphql/stream?query={__typename}', 'navigate', 'ORIGIN_FORBIDDEN'],
    ['GET', '/api/v1/training-sets/1/data', 'navigate', 'ORIGIN_FORBIDDEN'],
    ['GET', '/metrics', 'navigate', 'ORIGIN_FORBIDDEN'],
  ];
  test.each(links)('of links on another site, %s %s with mode %s is %s', (method, url, mode, expected) => {
    const headers = { ...local, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': mode };
    expect(verdict(open, { method, url, headers })).toBe(expected);
  });

  const hosts: [string, string][] = [
    ['localhost', 'pass'],
    ['LOCALHOST:4000', 'pass'],
    ['127.0.0.1', 'pass'],
    ['127.8.9.10:1', 'pass'],
    ['[::1]:4000', 'pass'],
    ['[::1]', 'pass'],
    ['evil.example', 'HOST_FORBIDDEN'],
    ['evil.example:4000', 'HOST_FORBIDDEN'],
    ['localhost.evil.example', 'HOST_FORBIDDEN'],
    ['127.0.0.1.evil.example', 'HOST_FORBIDDEN'],
    ['evil.example@localhost', 'HOST_FORBIDDEN'],
    ['localhost:4000\tevil.example', 'HOST_FORBIDDEN'],
    ['[::ffff:10.0.0.1]', 'HOST_FORBIDDEN'],
    ['192.168.0.7:4000', 'HOST_FORBIDDEN'],
    ['', 'HOST_FORBIDDEN'],
  ];
  test.each(hosts)('without an API key, Host %j is %s; with one it passes', (host, expected) => {
    // Twice: a name that was refused is not remembered as one that passed.
    for (const _ of [1, 2]) expect(verdict(open, { headers: { host } })).toBe(expected);
    expect(verdict(keyed, { headers: { host } })).toBe('pass');
  });

  test('a site that points its own name at this machine is refused though its Origin equals its Host', () => {
    const headers = { host: 'evil.example:4000', origin: 'http://evil.example:4000', 'sec-fetch-site': 'same-origin' };
    expect(verdict(open, { headers })).toBe('HOST_FORBIDDEN');
  });

  test('a named origin gets its own name back, never *, and no credentials', () => {
    const head = {
      headers: { origin: NAMED, 'access-control-request-headers': 'Content-Type, X-FStore-Trace, x-other' },
    };
    const allowed = preflightHeaders(head);
    expect(allowed['access-control-allow-origin']).toBe(NAMED);
    expect(allowed['access-control-allow-headers']?.split(', ')).toEqual(
      expect.arrayContaining(['authorization', 'content-type', 'apollo-require-preflight', 'x-fstore-trace']),
    );
    expect(allowed['access-control-allow-headers']).not.toContain('x-other');
    for (const headers of [allowed, crossOriginHeaders(NAMED)]) {
      expect(headers).toMatchObject({ 'access-control-allow-origin': NAMED, vary: expect.stringContaining('Origin') });
      expect(headers).not.toHaveProperty('access-control-allow-credentials');
    }
  });
});
