/**
 * The entry of a thread that reads and writes tables: one task after the other, one answer for each request, in their order.
 *
 * Boundary: runs in a thread of its own, so it may block.
 */
import { parentPort } from 'node:worker_threads';
import { readLines, type TextLine } from './ndjson-table.js';
import { createTableFile } from './table-encoding.js';
import { openTableFile } from './table-file.js';
import { packError, type TableAnswer, type TableRequest, type TableTask } from './table-message.js';
import { openTable } from './table-opening.js';
import type { TableRow } from './table-schema.js';

/** Values of one answer at most, unless a single batch has more. */
const ANSWER_VALUES = 50_000;

/** The task that the thread has begun. */
interface CurrentTask {
  next(): Promise<TableAnswer>;
  write(rows: readonly TableRow[]): Promise<TableAnswer>;
  close(): Promise<TableAnswer>;
}

let current: CurrentTask | null = null;

const refuse = async (): Promise<never> => {
  throw new Error('the task does not take this request');
};

async function begin(task: TableTask): Promise<TableAnswer> {
  if (task.task === 'write') {
    const writer = await createTableFile(task.path, task.format, task.schema);
    current = {
      next: refuse,
      write: async (rows) => {
        await writer.write(rows);
        return { done: true };
      },
      close: () => writer.close(),
    };
    return { done: true };
  }
  if (task.task === 'lines') {
    const file = await openTableFile(task.path, task.options.field ?? 'spine', task.options.within ?? null);
    current = pulling(
      readLines(file),
      (lines: readonly TextLine[][]) => ({ lines: lines.flat() }),
      () => file.handle.close(),
    );
    return { done: true };
  }
  const reading = await openTable(task.path, task.format, task.options);
  current = pulling(
    reading.batches(),
    (batches: readonly (readonly TableRow[])[]) => ({ batches }),
    () => reading.close(),
  );
  return { schema: reading.schema, rowCount: reading.rowCount };
}

/** A task that gives what it reads; what comes before an error is given with it. */
function pulling<T extends { readonly length: number }>(
  lists: AsyncIterable<T>,
  answer: (
    lists: T[],
  ) => { readonly batches: readonly (readonly TableRow[])[] } | { readonly lines: readonly TextLine[] },
  close: () => Promise<void>,
): CurrentTask {
  const iterator = lists[Symbol.asyncIterator]();
  return {
    next: async () => {
      const found: T[] = [];
      let values = 0;
      try {
        while (values < ANSWER_VALUES) {
          const { done, value } = await iterator.next();
          if (done) return { ...answer(found), ended: true };
          found.push(value);
          values += value.length * widthOf(value);
        }
      } catch (error) {
        return { ...answer(found), ended: true, error: packError(error) };
      }
      return { ...answer(found), ended: false };
    },
    write: refuse,
    close: async () => {
      await iterator.return?.();
      await close();
      return { done: true };
    },
  };
}

/** Values of each record of a list, taken from its first one; a line counts as hundred. */
function widthOf(list: { readonly length: number }): number {
  const [first] = list as readonly unknown[];
  return Array.isArray(first) ? Math.max(1, first.length) : 100;
}

async function handle(request: TableRequest): Promise<TableAnswer> {
  if ('task' in request) return begin(request);
  const task = current;
  if (!task) throw new Error('there is no task');
  if ('next' in request) return task.next();
  if ('rows' in request) return task.write(request.rows);
  current = null;
  return task.close();
}

let last: Promise<void> = Promise.resolve();
parentPort?.on('message', (request: TableRequest) => {
  last = last.then(async () => {
    const answer = await handle(request).catch((error: unknown) => ({ error: packError(error) }));
    parentPort?.postMessage(answer);
  });
});
