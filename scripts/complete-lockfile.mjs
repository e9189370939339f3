/**
 * Completes package-lock.json with the optional packages of other platforms.
 *
 *   node scripts/complete-lockfile.mjs
 *
 * npm leaves them out of the lock when its registry does not serve them, and `npm ci` then refuses the lock on every platform.
 * Run it after each change of dependencies. Names and versions come from what their parents ask for.
 */
import { readFile, writeFile } from 'node:fs/promises';

const SYSTEMS = {
  android: 'android',
  darwin: 'darwin',
  freebsd: 'freebsd',
  linux: 'linux',
  openharmony: 'openharmony',
  win32: 'win32',
};

const lock = JSON.parse(await readFile('package-lock.json', 'utf8'));
const { packages } = lock;

/** Where Node would find `name` from the package at `at`; null if it would not. */
function find(at, name) {
  for (let base = at; ; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
    const place = `${base ? `${base}/` : ''}node_modules/${name}`;
    if (packages[place]) return place;
    if (!base) return null;
  }
}

let added = 0;
for (const [at, entry] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (find(at, name)) continue;
    const words = name.split('/').at(-1).split('-');
    const system = words.find((word) => word in SYSTEMS);
    if (!system || !/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`cannot tell the platform of ${name}@${version}`);
    const libc = words.includes('musl') ? 'musl' : system === 'linux' && words.includes('gnu') ? 'glibc' : null;
    packages[`node_modules/${name}`] = {
      version,
      cpu: [words[words.indexOf(system) + 1]],
      ...(entry.dev ? { dev: true } : {}),
      ...(libc ? { libc: [libc] } : {}),
      optional: true,
      os: [SYSTEMS[system]],
    };
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
await writeFile('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${added} packages added\n`);
