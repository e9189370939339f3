/** Text tables. Columns are as wide as their widest cell, and nothing is cut off. */

const ANSI = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');

function width(text: string): number {
  return [...text.replace(ANSI, '')].length;
}

/** Returns the lines of a table; if `headings` is null, only its rows. Cells may contain colour codes. */
export function layOutTable(headings: readonly string[] | null, rows: readonly (readonly string[])[]): string[] {
  const all = headings ? [headings, ...rows] : rows;
  const widths: number[] = [];
  for (const row of all) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, width(cell));
  }
  return all.map((row) =>
    row
      .map((cell, index) => cell + ' '.repeat((widths[index] ?? 0) - width(cell)))
      .join('  ')
      .trimEnd(),
  );
}

/** Returns a value of an answer as the text of a cell. */
export function showValue(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string') return value;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
