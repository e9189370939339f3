/** Colours for terminals. NO_COLOR (no-color.org) turns them off. */

type Paint = (text: string) => string;

/** Functions that colour a text. */
export interface Colors {
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
  readonly bold: Paint;
  readonly dim: Paint;
}

const plain: Paint = (text) => text;
const paint =
  (on: number, off: number): Paint =>
  (text) =>
    `\u001b[${on}m${text}\u001b[${off}m`;

const NONE: Colors = { red: plain, green: plain, yellow: plain, cyan: plain, bold: plain, dim: plain };
const ALL: Colors = {
  red: paint(31, 39),
  green: paint(32, 39),
  yellow: paint(33, 39),
  cyan: paint(36, 39),
  bold: paint(1, 22),
  dim: paint(2, 22),
};

/** Returns the colours for a stream; they change nothing unless it is a terminal. */
export function colorsFor(stream: { readonly isTTY?: boolean }): Colors {
  const refused = process.env.NO_COLOR !== undefined && process.env.NO_COLOR !== '';
  return stream.isTTY && !refused && process.env.TERM !== 'dumb' ? ALL : NONE;
}
