/** One parser for each language of the documentation's blocks. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parse } from 'graphql';
import ts from 'typescript';
import { parseAllDocuments } from 'yaml';
import { parseDefinitionFile } from '../../src/definition/definition-file.js';
import type { Block } from './pages.js';
import { repositoryRoot } from './server-cache.js';

/** A request as an `http` block writes it. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body, which is JSON; null if there is none. */
  readonly body: string | null;
}

const lines = (body: string): string[] => body.split('\n').filter((line) => line.trim() !== '');

/** Returns the request of an `http` block: request line, header lines, body. Throws an error that names the part. */
export function parseHttp(text: string): HttpRequest {
  const [first = '', ...rest] = lines(text);
  const [, method, path] = /^(GET|POST|PUT|DELETE|OPTIONS) (\/\S*)(?: HTTP\/1\.1)?$/.exec(first) ?? [];
  if (!method || !path) throw new Error(`not a request line: ${first}`);
  const count = rest.findIndex((line) => !/^[\w-]+: \S/.test(line));
  const head = count === -1 ? rest : rest.slice(0, count);
  const headers = Object.fromEntries(
    head.map((line) => [line.split(':', 1)[0]!.toLowerCase(), line.replace(/^.*?: /, '')]),
  );
  const body = rest.slice(head.length).join('\n') || null;
  if (body) JSON.parse(body);
  return { method, path, headers, body };
}

/** Returns the commands of a `console` block (`$ command`, then its output) and the output that it shows for each. */
export function parseConsole(body: string): { command: string; output: string[] }[] {
  const steps: { command: string; output: string[] }[] = [];
  for (const line of body.split('\n')) {
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), output: [] });
    else if (line.trim() === '') continue;
    else if (steps.length === 0) throw new Error('a console block begins with "$ command"');
    else steps.at(-1)!.output.push(line);
  }
  return steps;
}

function checkYaml({ body, at }: Block): void {
  for (const document of parseAllDocuments(body)) if (document.errors[0]) throw document.errors[0];
  if (/^kind: /m.test(body)) parseDefinitionFile(body, at);
}

function checkShell(body: string): void {
  execFileSync('bash', ['-n', '-c', body], { stdio: 'pipe' });
}

function checkMermaid({ body }: Block): void {
  const kinds = /^(flowchart|graph|sequenceDiagram|stateDiagram-v2|classDiagram|erDiagram)\b/;
  if (!kinds.test(lines(body)[0] ?? '')) throw new Error('the first line names no kind of diagram');
  const open: string[] = [];
  for (const sign of body.replaceAll(/"[^"]*"/g, '').match(/[[\](){}]/g) ?? []) {
    if ('[({'.includes(sign)) open.push(sign);
    else if (!['[]', '()', '{}'].includes(`${open.pop()}${sign}`)) throw new Error(`an unmatched ${sign}`);
  }
  if (open.length > 0) throw new Error(`an unmatched ${open.at(-1)}`);
}

function checkCsv({ body }: Block): void {
  const cells = body.replaceAll(/"(?:[^"]|"")*"/g, '');
  if (new Set(lines(cells).map((line) => line.split(',').length)).size !== 1) throw new Error('rows differ in length');
}

function checkIni({ body }: Block): void {
  for (const line of lines(body)) if (!/^[A-Z][A-Z0-9_]*=/.test(line)) throw new Error(`not NAME=value: ${line}`);
}

function checkPython({ body }: Block): void {
  execFileSync('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], { input: body, stdio: 'pipe' });
}

/** Checks the types of TypeScript, where `fstore` is the package's own entry. */
function checkTypeScript({ body }: Block): void {
  const path = join(repositoryRoot, 'test', 'block.ts');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    experimentalDecorators: true,
    types: ['node'],
    paths: { fstore: [join(repositoryRoot, 'src', 'sdk.ts')] },
  };
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists } = host;
  host.readFile = (name) => (name === path ? body : readFile(name));
  host.fileExists = (name) => name === path || fileExists(name);
  const getSourceFile = host.getSourceFile.bind(host);
  host.getSourceFile = (name, version) =>
    name === path ? ts.createSourceFile(name, body, version) : getSourceFile(name, version);
  const program = ts.createProgram([path], options, host);
  const [first] = ts.getPreEmitDiagnostics(program, program.getSourceFile(path));
  if (first) throw new Error(ts.flattenDiagnosticMessageText(first.messageText, '\n'));
}

/** Parsers by language, each of which throws an error for a block that is not well-formed. PostgreSQL parses SQL. */
const blockParsers: Readonly<Record<string, (block: Block) => unknown>> = {
  yaml: checkYaml,
  graphql: ({ body }) => parse(body),
  sh: ({ body }) => checkShell(body),
  console: ({ body }) => parseConsole(body).map(({ command }) => checkShell(command)),
  http: ({ body }) => parseHttp(body),
  json: ({ body, head }) =>
    (head === 'json events' || head === 'json rows' ? lines(body) : [body]).map((one) => JSON.parse(one)),
  ndjson: ({ body }) => lines(body).map((line) => JSON.parse(line)),
  csv: checkCsv,
  ini: checkIni,
  mermaid: checkMermaid,
  python: checkPython,
  ts: checkTypeScript,
  sql: ({ body }) => body,
  text: ({ body }) => body,
};

/** Returns what is wrong with a block; null if nothing is. A block whose language has no parser is wrong. */
export function faultOf(block: Block): string | null {
  const parser = blockParsers[block.language];
  if (!parser) return `${block.at}: no test parses the language "${block.language}"`;
  try {
    parser(block);
    return null;
  } catch (error) {
    return `${block.at}: ${(error as Error).message}`;
  }
}
