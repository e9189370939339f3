import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { printLines } from './output.js';

/** Returns the version of this package. */
export function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Adds `fstore version`. */
export function registerVersion(program: Command): void {
  program
    .command('version')
    .description('print the version of fstore and of Node')
    .addHelpText('after', '\nExample:\n  fstore version\n')
    .action(() => printLines([`fstore ${readVersion()} (Node ${process.versions.node})`]));
}
