/** Reads definition files: YAML documents, with the line and column of each field. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';
import { errorOfIssues, type Issue } from '../errors.js';

/** A position in a definition file. TypeScript files give no line. */
export interface DefinitionPlace {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}

/** A definition as its author wrote it, before any check, with positions of its fields. */
export interface WrittenDefinition {
  readonly definition: unknown;
  /** Returns the position of a field. If the field is missing, that of the nearest enclosing field that exists. */
  locate(path: readonly (string | number)[]): DefinitionPlace;
}

/** Returns the offset of the field at `path` (of its name, if it has one), or of the last step that exists. */
function offsetOf(document: Document, path: readonly (string | number)[]): number {
  let node = document.contents as Node | null | undefined;
  let offset = node?.range?.[0] ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (!pair) return offset;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node)) {
      const item = node.items[Number(step)] as Node | undefined;
      if (!item) return offset;
      offset = item.range?.[0] ?? offset;
      node = item;
    } else return offset;
  }
  return offset;
}

/**
 * Reads all definitions of a YAML file. It skips empty documents. `file` is used in messages only.
 * Throws DEFINITION_SYNTAX with file and line, all issues together.
 */
export function parseDefinitionFile(text: string, file: string): WrittenDefinition[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent' });
  const issues: Issue[] = [];
  const written: WrittenDefinition[] = [];
  const refuse = (message: string, offset: number): void => {
    issues.push({ code: 'DEFINITION_SYNTAX', message, file, line: lines.linePos(offset).line });
  };
  for (const document of Array.isArray(documents) ? documents : []) {
    // A YAML warning is about a tag or directive without effect here. Ignoring it would silently drop what it says.
    const problems = [...document.errors, ...document.warnings];
    for (const { message, pos } of problems) refuse(message, pos[0]);
    if (problems.length > 0) continue;
    let definition: unknown;
    try {
      definition = document.toJS();
    } catch (error) {
      refuse((error as Error).message, document.range[0]);
      continue;
    }
    if (definition === null || definition === undefined) continue;
    const locate = (path: readonly (string | number)[]): DefinitionPlace => {
      const { line, col } = lines.linePos(offsetOf(document, path));
      return { file, line, column: col };
    };
    written.push({ definition, locate });
  }
  if (issues.length > 0) throw errorOfIssues(issues);
  return written;
}
