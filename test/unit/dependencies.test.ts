/** What the lock file installs for users runs on every Node.js that the package says it runs on. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import semver from 'semver';

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly engines?: { readonly node?: string };
}

const read = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T;
const manifest = read<{ engines: { node: string }; dependencies: Record<string, string> }>('package.json');
const { packages } = read<{ packages: Record<string, LockedPackage> }>('package-lock.json');
const production = Object.entries(packages).filter(([place, { dev }]) => place !== '' && !dev);
const lowest = semver.minVersion(manifest.engines.node)!;

describe('production packages', () => {
  test('accept the lowest Node.js version that the package accepts', () => {
    const unfit = production.filter(([, { engines }]) => engines?.node && !semver.satisfies(lowest, engines.node));
    expect(unfit.map(([place, { engines }]) => `${place} needs ${engines?.node}`)).toEqual([]);
    expect(production.length).toBeGreaterThan(100);
  });

  test('accept every later Node.js version with long-term support', () => {
    for (const version of ['20.20.0', '22.12.0', '24.0.0']) {
      const unfit = production.filter(([, { engines }]) => engines?.node && !semver.satisfies(version, engines.node));
      expect({ version, unfit }).toEqual({ version, unfit: [] });
    }
  });

  test('do not contain tables of phone numbers, which only class-validator needs', () => {
    const names = production.map(([place]) => place.split('node_modules/').at(-1));
    expect(names).not.toContain('class-validator');
    expect(names).not.toContain('libphonenumber-js');
  });

  test('are declared with exact versions', () => {
    for (const version of Object.values(manifest.dependencies)) expect(semver.valid(version)).toBe(version);
  });
});

test('the pages and scripts name the lowest Node.js version of the package', () => {
  const named = `${lowest.major}.${lowest.minor}`;
  for (const file of ['README.md', 'QUICKSTART.md', 'CONTRIBUTING.md', 'scripts/demo', 'scripts/test']) {
    const text = readFileSync(file, 'utf8');
    for (const [, version] of text.matchAll(/Node(?:\.js)? (?:≥ )?(\d+\.\d+)/g)) {
      expect({ file, version }).toEqual({ file, version: named });
    }
  }
});
