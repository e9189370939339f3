/**
 * Adds up one run of scripts/test: node scripts/test-summary.mjs <folder>
 *
 * The folder holds `checks` ("passed" or "failed", a tab, a name, per line), and per run of Jest its exit code in
 * `<name>.status` and its result in `<name>.json`; of pytest, its exit code in `<name>.exit` and its result in `<name>.junit.xml`. Prints what failed and, last, the count; exits with 0 only when
 * something ran and nothing failed.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const folder = process.argv[2];
const failures = [];
let passed = 0;
let failed = 0;
let skipped = 0;
let jestRuns = 0;
let testsRun = 0;

const fail = (message, count = 1) => {
  failed += count;
  failures.push(message);
};

for (const line of readFileSync(join(folder, 'checks'), 'utf8').split('\n').filter(Boolean)) {
  const [outcome, name] = line.split('\t');
  if (outcome === 'passed') passed++;
  else fail(name);
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.status'))) {
  const name = basename(file, '.status');
  jestRuns++;
  const status = Number(readFileSync(join(folder, file), 'utf8'));
  const resultFile = join(folder, `${name}.json`);
  if (!existsSync(resultFile)) {
    fail(`${name}: Jest crashed without a result (exit code ${status})`);
    continue;
  }
  const result = JSON.parse(readFileSync(resultFile, 'utf8'));
  passed += result.numPassedTests;
  skipped += result.numPendingTests + result.numTodoTests;
  if (result.numFailedTests > 0) fail(`${name}: failed tests`, result.numFailedTests);
  // A file that can not be loaded has no tests that could fail.
  if (result.numRuntimeErrorTestSuites > 0) fail(`${name}: files that do not run`, result.numRuntimeErrorTestSuites);
  const explained = result.numFailedTests + result.numRuntimeErrorTestSuites > 0;
  if (status !== 0 && !explained) fail(`${name}: Jest ended with code ${status}`);
  testsRun += result.numPassedTests + result.numFailedTests;
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.exit'))) {
  const name = basename(file, '.exit');
  const status = Number(readFileSync(join(folder, file), 'utf8'));
  const resultFile = join(folder, `${name}.junit.xml`);
  const suite = existsSync(resultFile) ? (/<testsuite [^>]*>/.exec(readFileSync(resultFile, 'utf8'))?.[0] ?? '') : '';
  const count = (what) => Number(new RegExp(` ${what}="(\\d+)"`).exec(suite)?.[1] ?? 0);
  const bad = count('failures') + count('errors');
  passed += Math.max(0, count('tests') - bad - count('skipped'));
  skipped += count('skipped');
  if (bad > 0) fail(`${name}: failed tests`, bad);
  else if (status !== 0) fail(`${name}: ended with code ${status}`);
}

if (passed + failed === 0 || (jestRuns > 0 && testsRun === 0 && failed === 0)) fail('no test ran');
if (failures.length > 0) console.log(`\nFailed:\n${failures.map((failure) => `  ${failure}`).join('\n')}`);
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed > 0 ? 1 : 0;
