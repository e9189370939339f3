/** Expressions have a budget: an expensive one is null, the process serves others, and `/metrics` counts it. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { scaled } from '../harness/time-factor.js';
import { apply } from '../system/graphql-door.js';
import { type AttackedServer, maxStallMs, residentBytes, startAttackedServer, watchStall } from './attacked-server.js';

const many = (part: string, count: number, by: string): string => new Array(count).fill(part).join(by);

interface Attack {
  readonly type: string;
  readonly expression: string;
  readonly text: string;
}

const attacks: Readonly<Record<string, Attack>> = {
  'join of a text with itself': {
    type: 'STRING',
    expression: 'request.text.split("").join(request.text)',
    text: 'a'.repeat(20_000),
  },
  '200 concatenations of 900 KB': {
    type: 'INT64',
    expression: `size(${many('request.text', 200, ' + ')})`,
    text: 'a'.repeat(900_000),
  },
  'a search for each character': {
    type: 'INT64',
    expression: 'request.text.split("").map(c, request.text.lastIndexOf(c + "zz")).sum()',
    text: 'a'.repeat(50_000),
  },
  'a join beyond what the engine of JavaScript can hold': {
    type: 'STRING',
    expression: 'request.text.split("").join(request.text)',
    text: 'a'.repeat(30_000),
  },
  'contains for each character': {
    type: 'BOOL',
    expression: 'request.text.split("").all(c, !request.text.contains(c + "zz"))',
    text: 'a'.repeat(50_000),
  },
  'replace that grows in steps': {
    type: 'STRING',
    expression: 'request.text.replace("a", request.text).replace("a", request.text)',
    text: 'a'.repeat(5_000),
  },
  'the size of a text for each character': {
    type: 'INT64',
    expression: 'request.text.split("").map(c, size(request.text)).sum()',
    text: 'a'.repeat(100_000),
  },
  'membership of each item': {
    type: 'BOOL',
    expression: 'request.text.split("").exists(c, c + "x" in request.text.split(""))',
    text: 'a'.repeat(30_000),
  },
  'lists that double': {
    type: 'INT64',
    expression: `size(${many('request.text.split("")', 60, ' + ')})`,
    text: 'a'.repeat(100_000),
  },
  'substrings for each character': {
    type: 'STRING[]',
    expression: 'request.text.split("").map(c, request.text.substring(size(request.text) - 1) + request.text)',
    text: 'a'.repeat(50_000),
  },
  'comparison of a long text for each character': {
    type: 'BOOL',
    expression: 'request.text.split("").exists(c, request.text + c < request.text)',
    text: 'a'.repeat(50_000),
  },
};

const names = Object.keys(attacks);
const nameOf = (attack: string): string => `f${names.indexOf(attack)}`;

const definitions = names.flatMap((attack) => {
  const { type, expression } = attacks[attack] as Attack;
  const name = nameOf(attack);
  return [
    {
      kind: 'onDemandFeatureView',
      name: `od_${name}`,
      request: { text: 'STRING' },
      features: [{ name, type, expression }],
    },
    { kind: 'featureService', name: `svc_${name}`, features: [`od_${name}`] },
  ];
});
const pattern = [
  {
    kind: 'onDemandFeatureView',
    name: 'od_pattern',
    request: { text: 'STRING', part: 'STRING' },
    features: [{ name: 'found', type: 'BOOL', expression: 'request.text.contains(request.part)' }],
  },
  { kind: 'featureService', name: 'svc_pattern', features: ['od_pattern'] },
];
const wide = {
  kind: 'onDemandFeatureView',
  name: 'od_wide',
  request: { text: 'STRING' },
  features: Array.from({ length: 60 }, (_, index) => ({
    name: `w${index}`,
    type: 'INT64',
    expression: `request.text.split("").map(c, request.text.indexOf(c + "zz")).sum() + ${index}`,
  })),
};

interface Answer {
  readonly status: number;
  readonly body: { readonly data?: Record<string, Record<string, unknown>>; readonly errors?: unknown };
}

describe('on an embedded server', () => {
  let server: AttackedServer;

  beforeAll(async () => {
    server = await startAttackedServer({ platform: 'embedded', fastLane: true });
    await apply(server.url, [
      ...definitions,
      ...pattern,
      wide,
      { kind: 'featureService', name: 'svc_wide', features: ['od_wide'] },
    ]);
  }, 120_000);
  afterAll(() => server?.close());

  const ask = async (query: string, variables: unknown): Promise<Answer> => {
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  };
  const exceeded = async (): Promise<number> => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(/^fstore_expression_budget_exceeded_total (\d+)$/m.exec(text)?.[1]);
  };

  test.each(names)('%s is null, stalls nobody, takes bounded memory and is counted', async (name) => {
    const { text } = attacks[name] as Attack;
    const field = `svcF${names.indexOf(name)}`;
    const query = `query($text: String) { ${field}(request: { text: $text }) { ${nameOf(name)} } }`;
    const before = await exceeded();
    const { result, stallMs } = await watchStall(server.url, async () => {
      const answers: Answer[] = [];
      for (let round = 0; round < 3; round += 1) answers.push(await ask(query, { text }));
      return answers;
    });
    for (const answer of result) {
      expect(answer).toEqual({ status: 200, body: { data: { [field]: { [nameOf(name)]: null } } } });
    }
    expect(stallMs).toBeLessThan(maxStallMs());
    expect(await exceeded()).toBeGreaterThanOrEqual(before + 3);
    expect(await residentBytes(server.process.pid)).toBeLessThan(1_200_000_000);
  });

  test('a pattern of 200 KB is found in linear time', async () => {
    const query = 'query($text: String, $part: String) { svcPattern(request: { text: $text, part: $part }) { found } }';
    const variables = { text: 'a'.repeat(600_000), part: `b${'a'.repeat(200_000)}` };
    const { result, stallMs } = await watchStall(server.url, () => ask(query, variables));
    expect(result).toEqual({ status: 200, body: { data: { svcPattern: { found: false } } } });
    expect(stallMs).toBeLessThan(maxStallMs());
  });

  test('a request with 60 expensive features and 20 aliases ends soon and stalls nobody', async () => {
    const fields = Array.from({ length: 60 }, (_, index) => `w${index}`).join(' ');
    const query = `query($text: String) { ${Array.from({ length: 20 }, (_, index) => `a${index}: svcWide(request: { text: $text }) { ${fields} }`).join(' ')} }`;
    const begun = performance.now();
    const { result, stallMs } = await watchStall(server.url, () => ask(query, { text: 'a'.repeat(50_000) }));
    expect(result.status).toBe(200);
    const values = Object.values(result.body.data ?? {}).flatMap((vector) => Object.values(vector));
    expect(values).toEqual(new Array(1_200).fill(null));
    expect(stallMs).toBeLessThan(maxStallMs());
    expect(performance.now() - begun).toBeLessThan(scaled(5_000));
  });

  test('an ordinary value is computed after the attacks', async () => {
    const query = '{ svcPattern(request: { text: "é and more", part: "and" }) { found } }';
    expect(await ask(query, {})).toEqual({ status: 200, body: { data: { svcPattern: { found: true } } } });
  });
});
