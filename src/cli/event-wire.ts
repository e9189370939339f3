/** Converts events for the server. JSON numbers are doubles there, so integers beyond 2^53 are sent as strings. */

type ColumnTypes = ReadonlyMap<string, string>;

function toWire(value: unknown, type: string | undefined): unknown {
  // A FLOAT64 with many digits is still a double. In any other column it is an integer, which must stay exact.
  if (typeof value === 'bigint') return type?.startsWith('FLOAT64') ? Number(value) : value.toString();
  if (Array.isArray(value)) return value.map((item) => toWire(item, type));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, toWire(inner, undefined)]));
  }
  return value;
}

/** Returns an event in the form in which it is sent. `types` are the column types of its source. */
export function eventToWire(event: unknown, types: ColumnTypes): unknown {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return toWire(event, undefined);
  return Object.fromEntries(Object.entries(event).map(([name, value]) => [name, toWire(value, types.get(name))]));
}
