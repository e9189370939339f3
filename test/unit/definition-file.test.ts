import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import * as typed from '../../examples/fraud-detection/definitions.js';
import { canonicalJson } from '../../src/definition/canonical-json.js';
import { parseDefinitionFile } from '../../src/definition/definition-file.js';
import { parseDefinitions } from '../../src/definition/plan.js';
import { FStoreError } from '../../src/errors.js';

const text = `# a comment
kind: entity
name: user
joinKeys:
  - { name: user_id, type: STRING }
---
# nothing but a comment
---

---
kind: featureView
name: user_stats
features:
  - amount
  - name: country
    column: land
`;

function refusalOf(source: string): FStoreError {
  try {
    parseDefinitionFile(source, 'bad.yaml');
  } catch (error) {
    if (error instanceof FStoreError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('a definition file', () => {
  const written = parseDefinitionFile(text, 'users.yaml');

  test('has a definition for each document that is not empty', () => {
    expect(written.map(({ definition }) => definition)).toEqual([
      { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] },
      { kind: 'featureView', name: 'user_stats', features: ['amount', { name: 'country', column: 'land' }] },
    ]);
  });

  test.each([
    [0, [], 2, 1],
    [0, ['name'], 3, 1],
    [0, ['joinKeys', 0, 'type'], 5, 22],
    [1, ['name'], 12, 1],
    [1, ['features', 0], 14, 5],
    [1, ['features', 1, 'column'], 16, 5],
  ])('locates the field %# of its text', (index, path, line, column) => {
    expect(written[index]?.locate(path as (string | number)[])).toEqual({ file: 'users.yaml', line, column });
  });

  test('locates what is not written at the nearest thing around it', () => {
    expect(written[1]?.locate(['entity'])).toMatchObject({ line: 11 });
    expect(written[1]?.locate(['features', 1, 'graphql', 'deeper'])).toMatchObject({ line: 15 });
    expect(written[1]?.locate(['features', 9])).toMatchObject({ line: 13 });
  });

  test('follows an alias to what it stands for', () => {
    const [, second] = parseDefinitionFile('a: &x { b: 1 }\n---\na: &y { b: 1 }\nc: *y\n', 'f');
    expect(second?.definition).toEqual({ a: { b: 1 }, c: { b: 1 } });
    expect(second?.locate(['c', 'b'])).toMatchObject({ line: 3 });
  });

  test('of nothing has no definitions', () => {
    expect(parseDefinitionFile('', 'f')).toEqual([]);
    expect(parseDefinitionFile('# later\n---\n', 'f')).toEqual([]);
  });

  test('with Windows line ends is read the same', () => {
    const windows = parseDefinitionFile(text.replaceAll('\n', '\r\n'), 'users.yaml');
    expect(windows.map(({ definition }) => definition)).toEqual(written.map(({ definition }) => definition));
    expect(windows[1]?.locate(['name'])).toMatchObject({ line: 12, column: 1 });
  });

  test('refuses bad syntax with every place where it is', () => {
    const error = refusalOf('kind: entity\nname: [user\n---\na: b: c\n');
    expect(error.code).toBe('DEFINITION_SYNTAX');
    expect(error.location).toMatchObject({ file: 'bad.yaml' });
    expect(error.issues.map(({ line }) => line)).toEqual([3, 4]);
  });

  test('refuses a key that is given twice', () => {
    expect(refusalOf('kind: entity\nname: a\nname: b\n').location).toEqual({ file: 'bad.yaml', line: 3 });
  });

  test('refuses a tag that means nothing, rather than losing it', () => {
    expect(refusalOf('kind: entity\nname: !secret a\n').location).toEqual({ file: 'bad.yaml', line: 2 });
  });

  test('refuses aliases that grow without bounds', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 9; level += 1) {
      lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`);
    }
    expect(refusalOf(lines.join('\n')).code).toBe('DEFINITION_SYNTAX');
  });
});

test('the example says the same in YAML and in TypeScript', () => {
  const file = 'examples/fraud-detection/definitions.yaml';
  const yaml = parseDefinitionFile(readFileSync(file, 'utf8'), file).map(({ definition }) => definition);
  const canonical = (definitions: readonly unknown[]) =>
    parseDefinitions(definitions)
      .map((definition) => canonicalJson(definition))
      .sort();
  expect(canonical(Object.values(typed))).toEqual(canonical(yaml));
});
