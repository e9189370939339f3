/** Job: other versions of Node.js, fetched once from the npm registry into .cache (0.1 GB each). */
import { join } from 'node:path';
import { runProcess } from './child-process.js';
import { cachedFolder } from './server-cache.js';

/** The newest of each line with long-term support, beside the one that runs the tests. */
const VERSIONS = { 22: '22.23.3', 24: '24.21.0' } as const;

/**
 * The program of a version of Node.js.
 *
 * @param major the line, such as 22
 * @throws when npm serves no binary for this platform
 */
export async function nodeProgram(major: keyof typeof VERSIONS): Promise<string> {
  const version = VERSIONS[major];
  const platform = process.platform === 'darwin' && process.arch === 'arm64' ? 'bin-darwin' : process.platform;
  const folder = await cachedFolder(`node-${version}`, async (draft) => {
    const options = { cwd: draft, logFile: join(draft, 'npm.log') };
    await runProcess('npm', ['pack', '--silent', `node-${platform}-${process.arch}@${version}`], options);
    await runProcess('sh', ['-ec', 'tar -xzf *.tgz && rm *.tgz'], options);
  });
  return join(folder, 'package', 'bin', 'node');
}
