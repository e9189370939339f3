/** What is told of an error that PostgreSQL gives for a text of a user: enough to mend the text, and nothing that it has read. */
import pg from 'pg';
import { FStoreError } from '../errors.js';

/** Conditions of SQLSTATEs that texts meet often; the others are told by their number. */
const CONDITIONS: Readonly<Record<string, string>> = {
  '08P01': 'a parameter such as $1, for which there is no value',
  '0A000': 'feature not supported',
  '21000': 'a subquery has more than one row',
  '22001': 'a text is too long',
  '22003': 'a number is out of range',
  '22007': 'a text is not a time',
  '22008': 'a time is out of range',
  '22012': 'division by zero',
  '22023': 'invalid parameter value',
  '22P02': 'a text cannot be read as the type that it is cast to',
  '25006': 'it writes, and queries only read',
  '42501': 'the read login may not do this',
  '42601': 'syntax error',
  '42703': 'undefined column',
  '42704': 'undefined object',
  '42883': 'undefined function',
  '42P01': 'undefined table',
  '53400': 'it needs more room on disk than a query may have',
  '54001': 'it is too complex',
};
/** Classes whose messages, while a text is parsed, quote the text and names of the catalog only. */
const SHOWN = /^(?:0A|22|34|3D|3F|42|54)/;
/** The server cannot answer now, whatever the text is. */
const UNAVAILABLE = /^(?:08(?!P01)|53(?!400)|57P|58)/;
const DENIED = /^permission denied for (?:table|view|materialized view|foreign table|function|sequence) (\S+)$/;
const MAX_MESSAGE = 300;

/** A text as it was sent: `before`, what FStore put in front of it. */
export interface SentQuery {
  readonly text: string;
  readonly before: string;
  readonly isParsed: boolean;
}

/** The error that is told for one of PostgreSQL's; others are returned as they are. */
export function queryError(error: unknown, sent: SentQuery, timeoutMs: number): unknown {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined || UNAVAILABLE.test(error.code)) return error;
  if (error.code === '57014') return queryTimeout(timeoutMs);
  const message = `PostgreSQL refuses the query: ${reasonOf(error, sent)}${placeOf(error, sent)}`;
  return new FStoreError('BAD_REQUEST', message, { field: 'query' });
}

/** The error of a query that has reached its time limit. */
export function queryTimeout(timeoutMs: number): FStoreError {
  return new FStoreError('QUERY_TIMEOUT', `the query was cancelled after ${timeoutMs / 1_000} s`, { field: 'query' });
}

function reasonOf({ code = '', message }: pg.DatabaseError, { text, isParsed }: SentQuery): string {
  if (!isParsed && SHOWN.test(code)) return message.slice(0, MAX_MESSAGE);
  // While it runs, even an unknown table may be one whose name was read from another.
  const denied = DENIED.exec(message)?.[1];
  if (code === '42501' && denied && text.toLowerCase().includes(denied)) return message;
  const condition = CONDITIONS[code];
  return condition ? `${condition} (SQLSTATE ${code})` : `SQLSTATE ${code}`;
}

/** Line and column in the text of the user. */
function placeOf({ position }: pg.DatabaseError, { text, before }: SentQuery): string {
  const at = Number(position) - 1 - before.length;
  if (!(at >= 0 && at <= text.length)) return '';
  const lines = text.slice(0, at).split('\n');
  return `, at line ${lines.length}, column ${lines.at(-1)!.length + 1}`;
}
