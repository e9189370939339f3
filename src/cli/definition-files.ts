/** Loads definitions from files and folders, and adds file and line to issues about them. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJiti } from 'jiti';
import { parseDefinitionFile, type WrittenDefinition } from '../definition/definition-file.js';
import { parseDefinitions } from '../definition/plan.js';
import { errorOfIssues, FStoreError, type Issue } from '../errors.js';
import { type RemoteIssue, ServerError, UsageError } from './failure.js';

const YAML = new Set(['.yaml', '.yml']);
const TYPESCRIPT = new Set(['.ts', '.mts']);
const KINDS = new Set([
  'entity',
  'source',
  'featureView',
  'onDemandFeatureView',
  'transformer',
  'featureService',
  'consumer',
]);

function isDefinitionFile(name: string): boolean {
  const extension = extname(name);
  return YAML.has(extension) || (TYPESCRIPT.has(extension) && !/\.(?:d|test)\.m?ts$/.test(name));
}

/** Returns the definition files in a folder, ordered by name, without hidden folders and node_modules. */
async function filesOf(path: string): Promise<string[]> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(path)).isDirectory();
  } catch {
    throw new UsageError(`there is no file or folder ${path}`, 'Name files or folders of .yaml, .yml or .ts.');
  }
  if (!isFolder) {
    if (isDefinitionFile(path)) return [path];
    throw new UsageError(`${path} is no definition file`, 'Definitions are in .yaml, .yml or .ts files.');
  }
  const entries = await readdir(path, { withFileTypes: true });
  const inner = entries
    .filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((entry) => {
      const inside = join(path, entry.name);
      if (entry.isDirectory()) return filesOf(inside);
      return isDefinitionFile(entry.name) ? [inside] : [];
    });
  return (await Promise.all(inner)).flat();
}

function looksLikeDefinition(value: unknown): boolean {
  return typeof value === 'object' && value !== null && KINDS.has((value as { kind?: string }).kind ?? '');
}

/** Loads a TypeScript file: every definition among its exports, or in exported lists. Each definition counts once. */
async function loadTypeScript(file: string): Promise<WrittenDefinition[]> {
  // In the file, `import … from 'fstore'` imports this package, wherever the file is.
  const own = fileURLToPath(new URL(`../sdk${extname(import.meta.url)}`, import.meta.url));
  const jiti = createJiti(import.meta.url, { alias: { fstore: own }, moduleCache: false, interopDefault: false });
  let module: Record<string, unknown>;
  try {
    module = await jiti.import<Record<string, unknown>>(resolve(file));
  } catch (error) {
    throw new FStoreError('DEFINITION_INVALID', `the file cannot be run: ${(error as Error).message}`, { file }, [], {
      cause: error,
    });
  }
  const exported = Object.values(module).flat().filter(looksLikeDefinition);
  return [...new Set(exported)].map((definition) => ({ definition, locate: () => ({ file }) }));
}

async function loadFile(path: string): Promise<WrittenDefinition[]> {
  const file = relative(process.cwd(), path) || path;
  const shown = file.startsWith('..') ? path : file;
  if (TYPESCRIPT.has(extname(path))) return loadTypeScript(shown);
  return parseDefinitionFile(await readFile(path, 'utf8'), shown);
}

function placeIssue<T extends RemoteIssue>(issue: T, written: readonly WrittenDefinition[]): T {
  const source = issue.definition === undefined ? undefined : written[issue.definition];
  if (!source) return issue;
  const { file, line } = source.locate(issue.path ?? []);
  return { ...issue, file, ...(line === undefined ? {} : { line }) };
}

/** Returns the same error, but with the file and line of each issue. */
export function placeError(error: unknown, written: readonly WrittenDefinition[]): unknown {
  if (error instanceof FStoreError && error.issues.length > 0) {
    return errorOfIssues(error.issues.map((issue: Issue) => placeIssue(issue, written)));
  }
  if (error instanceof ServerError && error.details.issues) {
    const issues = error.details.issues.map((issue) => placeIssue(issue, written));
    return new ServerError(error.code, error.status, error.message, { ...error.details, issues });
  }
  return error;
}

interface WithAvro {
  readonly kind?: unknown;
  readonly stream?: { readonly avroSchema?: unknown };
}

/** Replaces the path of an Avro schema, relative to the definition file, by the schema. Throws UsageError. */
async function withAvroSchema(written: WrittenDefinition, file: string): Promise<WrittenDefinition> {
  const definition = written.definition as WithAvro | null;
  const path = definition?.kind === 'source' ? definition.stream?.avroSchema : undefined;
  if (typeof path !== 'string' || !path.endsWith('.avsc')) return written;
  let avroSchema: unknown;
  try {
    avroSchema = JSON.parse(await readFile(resolve(dirname(file), path), 'utf8'));
  } catch (error) {
    const cure = 'Correct the path, which begins at the folder of the definition, or the JSON in the file.';
    throw new UsageError(`${file}: the Avro schema ${path} cannot be read: ${(error as Error).message}`, cure);
  }
  return { ...written, definition: { ...definition, stream: { ...definition!.stream, avroSchema } } };
}

/** Loads and checks the definitions of files and folders. Throws issues with file and line, or UsageError. */
export async function loadDefinitions(paths: readonly string[]): Promise<WrittenDefinition[]> {
  const files = [...new Set((await Promise.all(paths.map(filesOf))).flat())];
  const written: WrittenDefinition[] = [];
  for (const file of files) {
    for (const one of await loadFile(file)) written.push(await withAvroSchema(one, file));
  }
  if (written.length === 0) {
    const where = paths.map((path) => (extname(path) ? path : dirname(join(path, 'x')))).join(', ');
    throw new UsageError(`there are no definitions in ${where}`, 'Name files or folders of .yaml, .yml or .ts.');
  }
  try {
    parseDefinitions(written.map(({ definition }) => definition));
  } catch (error) {
    throw placeError(error, written);
  }
  return written;
}
