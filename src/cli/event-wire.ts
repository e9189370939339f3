/** Events on their way to the server, where JSON numbers are doubles: integers beyond 2^53 travel as strings. */

type ColumnTypes = ReadonlyMap<string, string>;

function toWire(value: unknown, type: string | undefined): unknown {
  // A FLOAT64 written with many digits is a double all the same; every other such numeral is an integer to keep.
  if (typeof value === 'bigint') return type?.startsWith('FLOAT64') ? Number(value) : value.toString();
  if (Array.isArray(value)) return value.map((item) => toWire(item, type));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, toWire(inner, undefined)]));
  }
  return value;
}

/** An event in the form in which it is sent; `types` are the columns of its source. */
export function eventToWire(event: unknown, types: ColumnTypes): unknown {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return toWire(event, undefined);
  return Object.fromEntries(Object.entries(event).map(([name, value]) => [name, toWire(value, types.get(name))]));
}
