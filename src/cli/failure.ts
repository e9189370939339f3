/** How the command line prints errors, and the exit codes that belong to them. */
import { ERRORS, type ErrorCode, FStoreError, type Issue } from '../errors.js';
import { systemError } from '../system-error.js';
import { colorsFor } from './terminal-color.js';

/** The exit codes of the command line. */
export const EXIT = { ok: 0, refused: 1, usage: 2, unavailable: 3 } as const;

/** The command line itself is wrong, such as an invalid option. */
export class UsageError extends Error {
  override readonly name = 'UsageError';

  constructor(
    message: string,
    readonly cure = 'Look at the help of this command: --help.',
  ) {
    super(message);
  }
}

/** An issue that a server reports. Its code may be unknown to this version. */
export type RemoteIssue = Omit<Issue, 'code'> & { readonly code: string };

/** An error that the server returned. */
export class ServerError extends Error {
  override readonly name = 'ServerError';

  constructor(
    readonly code: string,
    readonly status: number,
    message: string,
    readonly details: {
      readonly cause?: string;
      readonly cure?: string;
      readonly field?: string;
      readonly report?: string;
      readonly issues?: readonly RemoteIssue[];
    } = {},
  ) {
    super(message);
  }
}

/** An error as it is printed. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly exitCode: number;
  readonly where?: string | undefined;
  readonly cause?: string | undefined;
  readonly cure?: string | undefined;
  readonly issues?: readonly RemoteIssue[] | undefined;
}

/** Codes of a start that fails because of what this process was given; trying again does not help. */
const SETTINGS: ReadonlySet<string> = new Set<ErrorCode>([
  'CONFIG_INVALID',
  'INSECURE_BIND',
  'PORT_IN_USE',
  'PATH_UNUSABLE',
  'DATA_TOO_NEW',
  'EMBEDDED_PASSWORD_INVALID',
]);

function exitCodeOf(code: string, status: number): number {
  return status >= 500 && !SETTINGS.has(code) ? EXIT.unavailable : EXIT.refused;
}

function placeOf({ file, line, field }: Pick<RemoteIssue, 'file' | 'line' | 'field'>): string | undefined {
  const inside = field === undefined || field === '' ? [] : [`field ${field}`];
  const place = file === undefined ? [] : [line === undefined ? file : `${file}:${line}`];
  return [...place, ...inside].join(', ') || undefined;
}

/** Converts any thrown value to a failure. An unexpected error is INTERNAL, with its stack as cause. */
function failureOf(thrown: unknown): Failure {
  const error = systemError(thrown, 'path') ?? thrown;
  if (error instanceof FStoreError) {
    const { status, cause, cure } = error.entry;
    const { code, message, issues } = error;
    return { code, message, exitCode: exitCodeOf(code, status), where: placeOf(error.location), cause, cure, issues };
  }
  if (error instanceof ServerError) {
    const { code, message, status, details } = error;
    const { cause, cure, issues, field, report } = details;
    const where = issues?.[0] ? placeOf(issues[0]) : placeOf(field === undefined ? {} : { field });
    const reported = report === undefined ? message : `${message} (report ${report})`;
    return { code, message: reported, exitCode: exitCodeOf(code, status), where, cause, cure, issues };
  }
  if (error instanceof UsageError) {
    return { code: 'USAGE', message: error.message, exitCode: EXIT.usage, cure: error.cure };
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { code: 'INTERNAL', message, exitCode: EXIT.unavailable, cause: stack, cure: ERRORS.INTERNAL.cure };
}

/** Returns `file:line: field: message` for each issue, and the hint of each code after its last issue. */
function describeIssues(issues: readonly RemoteIssue[]): string[] {
  const codes = [...new Set(issues.map((issue) => issue.code))];
  return codes.flatMap((code) => {
    const lines = issues
      .filter((issue) => issue.code === code)
      .map(({ file, line, field, message }) => {
        const place = file === undefined ? [] : [placeOf({ file, ...(line === undefined ? {} : { line }) })];
        return `  ${[...place, ...(field ? [field] : []), message].join(': ')}`;
      });
    const entry = ERRORS[code as ErrorCode];
    return [...lines, ...(codes.length > 1 && entry ? [`    cure: ${entry.cure}`] : [])];
  });
}

/** Prints a failure: as JSON to stdout if `json`, else as text to stderr. Returns the exit code. */
export function printFailure(error: unknown, json: boolean): number {
  const { exitCode, ...failure } = failureOf(error);
  if (json) {
    process.stdout.write(`${JSON.stringify({ error: failure })}\n`);
    return exitCode;
  }
  const { red, bold } = colorsFor(process.stderr);
  const { code, message, where, cause, cure, issues } = failure;
  const lines = [`${red(`error ${bold(code)}:`)} ${message}`];
  if (where) lines.push(`where: ${where}`);
  if (issues && issues.length > 1) lines.push(...describeIssues(issues));
  if (cause) lines.push(`cause: ${cause}`);
  if (cure) lines.push(`cure: ${cure}`);
  process.stderr.write(`${lines.join('\n')}\n`);
  return exitCode;
}
