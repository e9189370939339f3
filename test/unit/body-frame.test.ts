/** What is read of a body by its frame is what JSON.parse reads of the whole. */
import { describe, expect, test } from '@jest/globals';
import { BodyFrames, type OperationBody } from '../../src/schema/lane/body-frame.js';
import { scanVariables } from '../../src/schema/lane/variable-scanner.js';

const QUERY = 'query ($id: ID!) { user(id: $id) { id } # "variables": {"id": 1}\n}';

/** Learns the frame of the first body, and says how each body is read by it: its variables, or that it has another frame. */
function readByFrame(first: string, bodies: readonly string[]): unknown[] {
  const frames = new BodyFrames<string>();
  const bytes = Buffer.from(first);
  frames.learn(bytes, JSON.parse(first) as OperationBody, 'the operation');
  return bodies.map((body) => {
    const own = Buffer.from(body);
    const frame = frames.find(own);
    if (!frame) return 'none';
    try {
      return JSON.parse(own.toString('utf8', frame.start.length, own.length - frame.end.length));
    } catch {
      return 'no JSON';
    }
  });
}

describe('the frame of a body', () => {
  test('is found in every order of members and with every spacing', () => {
    const write = [
      (variables: unknown) => JSON.stringify({ query: QUERY, variables }),
      (variables: unknown) => JSON.stringify({ operationName: 'A', variables, query: QUERY }),
      (variables: unknown) => JSON.stringify({ variables, extensions: { a: { variables: { b: [1] } } }, query: QUERY }),
      (variables: unknown) => JSON.stringify({ query: QUERY, variables }, null, 2),
      (variables: unknown) => `{ "query" : ${JSON.stringify(QUERY)} ,\n"variables" :\t${JSON.stringify(variables)} }\n`,
    ];
    const sets = [{ id: 'u2' }, { id: '}"]{\\"' }, { id: ['ä', '漢', null, 1.5] }, {}, null, { id: { variables: {} } }];
    for (const one of write) expect(readByFrame(one({ id: 'u1' }), sets.map(one))).toEqual(sets);
  });

  test('is none of bodies that differ in more than their variables', () => {
    const first = JSON.stringify({ query: QUERY, variables: { id: 'u1' } });
    const others = [
      JSON.stringify({ query: QUERY.replace('user', 'usar'), variables: { id: 'u1' } }),
      JSON.stringify({ query: QUERY }),
      '',
      '{}',
      first.slice(0, 20),
    ];
    expect(readByFrame(first, others)).toEqual(others.map(() => 'none'));
    // What follows the variables makes the middle no JSON, so the whole is parsed.
    const more = [
      first.slice(0, -1),
      `${first.slice(0, -1)},"operationName":"A"}`,
      `${first.slice(0, -1)},"variables":{"id":"u2"}}`,
      `${first}}`,
      `${first}{}}`,
    ];
    expect(readByFrame(first, more)).toEqual(more.map(() => 'no JSON'));
  });

  test('is not learned where another value could not stand for the variables', () => {
    const query = JSON.stringify(QUERY);
    for (const first of [
      `{"query":${query},"variables":{"id":"u1"},"variables":{"id":"u2"}}`,
      `{"extensions":{"variables":{"id":"u1"}},"query":${query},"variables":{"id":"u2"}}`,
      `{"extensions":{"variables":{"id":"u1"}},"query":${query}}`,
      `{"query":${query},"variables":null}`,
      `{"query":"{ a }"}`,
    ]) {
      expect(readByFrame(first, [first])).toEqual(['none']);
    }
  });

  test('is kept for the bodies that come most often', () => {
    const frames = new BodyFrames<number>();
    const bodyOf = (index: number): Buffer => Buffer.from(JSON.stringify({ query: `{ a${index} }`, variables: {} }));
    for (let index = 0; index < 2_000; index += 1) {
      const bytes = bodyOf(index);
      frames.learn(bytes, JSON.parse(bytes.toString()) as OperationBody, index);
      expect(frames.find(bodyOf(3))?.operation ?? 3).toBe(3);
    }
    expect(frames.find(bodyOf(3))?.operation).toBe(3);
    let known = 0;
    for (let index = 0; index < 2_000; index += 1) if (frames.find(bodyOf(index))) known += 1;
    expect(known).toBe(16);
    frames.forget();
    expect(frames.find(bodyOf(3))).toBeNull();
  });
});

describe('the scanner of variables', () => {
  const names = ['id', 'ids', 'representations'];
  const scan = (text: string): unknown => scanVariables(Buffer.from(text).toString('latin1'), names);

  test('reads what JSON.parse reads', () => {
    for (const text of [
      '{}',
      ' {}'.trim(),
      '{"id":"u1"}',
      '{"id":""}',
      '{ "id" : "u1" ,\n\t"ids" : [ "a" , "b" ] }',
      '{"ids":[]}',
      '{"id":"first","id":"last"}',
      '{"representations":[{"__typename":"User","id":"u1"},{"id":"u2","__typename":"User"},{"other":"1"}]}',
      '{"representations":[{"a":"1","a":"2"},{"1":"x","0":"y"}, "text"]}',
    ]) {
      expect(scan(text)).toEqual(JSON.parse(text));
      expect(JSON.stringify(scan(text))).toBe(JSON.stringify(JSON.parse(text)));
    }
  });

  test('leaves to JSON.parse whatever is not plain', () => {
    for (const text of [
      '',
      'null',
      '[]',
      '"id"',
      '{',
      '{"id"',
      '{"id":',
      '{"id":"u1"',
      '{"id":"u1',
      '{"id":"u1"}}',
      '{"id":"u1"} ',
      '{"id":"u1",}',
      '{,"id":"u1"}',
      '{"id" "u1"}',
      '{"id":u1}',
      '{"id":1}',
      '{"id":null}',
      '{"id":"\\u0041"}',
      '{"id":"ä"}',
      '{"id":"\u0001"}',
      '{"id":"\u007f"}',
      '{"other":"u1"}',
      '{"__proto__":"u1"}',
      '{"ids":["a",]}',
      '{"ids":["a" "b"]}',
      '{"ids":["a"',
      '{"ids":[["a"]]}',
      '{"ids":["a",1]}',
      '{"representations":[{"__proto__":"x"}]}',
      '{"representations":[{"a":{}}]}',
      '{"representations":[{}]}',
      '{"representations":[{"a":"1",}]}',
    ]) {
      expect([text, scan(text)]).toEqual([text, null]);
    }
  });
});
