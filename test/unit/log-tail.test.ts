import { expect, test } from '@jest/globals';
import { LogTail } from '../../src/materialization/log-tail.js';

test('the tail of a log has its last lines, without frames of stacks, each of a bounded length', () => {
  const tail = new LogTail();
  for (let index = 0; index < 30; index += 1) tail.add(`line ${index}`);
  for (const frame of [
    '\tat org.apache.spark.Task.run(Task.scala:1)',
    '  File "a.py", line 3',
    '    value = 3',
    '',
    '\t... 12 more',
  ]) {
    tail.add(frame);
  }
  tail.add('x'.repeat(1_000));
  expect(tail.lines).toHaveLength(20);
  expect(tail.lines[0]).toBe('line 11');
  expect(tail.lines.at(-2)).toBe('line 29');
  expect(tail.lines.at(-1)).toHaveLength(300);
});
