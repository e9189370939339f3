/** Runs the commands of the documentation as a shell does, in a folder of their own, against a server that runs. */
import { execFile } from 'node:child_process';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryRoot } from '../harness/server-cache.js';
import { scaled } from '../harness/time-factor.js';

/**
 * `fstore` and `node dist/main.js` are the build. The server runs already, and the packages are installed. `fstore
 * watch` ends when it watches. The address `127.0.0.1:4000` is that of the server.
 */
const PRELUDE = `set -eo pipefail
program() {
  case "$1" in
    serve | worker) ;;
    watch)
      "$NODE" "$MAIN" "$@" >watched 2>&1 & watcher=$!
      until grep -q Watching watched; do kill -0 $watcher || { cat watched; return 1; }; sleep 0.05; done
      kill $watcher; cat watched ;;
    *) "$NODE" "$MAIN" "$@" ;;
  esac
}
fstore() { program "$@"; }
node() { while [ "$1" != dist/main.js ]; do shift || return 1; done; shift; program "$@"; }
npm() { case "$*" in ci | 'run build') ;; *) return 1 ;; esac; }
npx() { "node_modules/.bin/$1" "\${@:2}"; }
curl() { set -- "\${@//localhost:4000/$HOST}"; command curl -sS --fail-with-body "\${@//127.0.0.1:4000/$HOST}"; }
`;

/** What a script printed on both outputs, and its exit code. */
export interface ShellResult {
  readonly output: string;
  readonly code: number;
}

/** Returns a function that runs a script in `folder` against the server at `url`, for at most `timeoutMs` (scaled). */
export async function openShell(
  folder: string,
  url: string,
  timeoutMs = 60_000,
): Promise<(script: string) => Promise<ShellResult>> {
  for (const name of ['examples', 'node_modules']) await symlink(join(repositoryRoot, name), join(folder, name));
  const env = {
    ...process.env,
    NODE: process.execPath,
    MAIN: join(repositoryRoot, 'dist', 'main.js'),
    HOST: new URL(url).host,
    FSTORE_URL: url,
  };
  return (script) =>
    new Promise((resolve) => {
      const options = { cwd: folder, env, timeout: scaled(timeoutMs) };
      const child = execFile('bash', ['-c', `${PRELUDE}${script}`], options, (error, stdout, stderr) =>
        resolve({ output: `${stdout}${stderr}`, code: error ? Number(error.code ?? 1) : 0 }),
      );
      child.stdin?.end();
    });
}

/** Writes a spine for the training sets of the documentation: rows of some users, merchants and cards, all of now. */
export async function writeLabels(path: string): Promise<void> {
  const at = new Date().toISOString();
  const rows = Array.from({ length: 12 }, (_, index) => {
    const id = `0000${index}`.slice(-5);
    const keys = index === 0 ? 'u1,m1,c1' : `user_${id},merchant_${id.slice(1)},card_${id}_0`;
    return `${keys},${at},${100 + index},NL,${index % 2}`;
  });
  await writeFile(path, `user_id,merchant_id,card_id,event_time,amount,country,label\n${rows.join('\n')}\n`);
}
