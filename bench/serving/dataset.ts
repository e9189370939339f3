/**
 * The data that every contender serves: views of typed features, and the value of each feature of each entity.
 *
 * Invariant: a value depends only on view, feature and entity, so the loader and the checker need to exchange nothing.
 */

/** The type of a feature. */
export type FeatureType = 'FLOAT64' | 'INT64' | 'STRING' | 'BOOL';
/** A value as the API's JSON has it: INT64 is a decimal string. */
export type Value = number | string | boolean | null;

/** A feature of a view. */
export interface Feature {
  readonly name: string;
  readonly type: FeatureType;
}

/** A view with its features. */
export interface View {
  readonly name: string;
  readonly features: readonly Feature[];
}

/** Views whose values are in one file, as one source. */
export interface Table {
  readonly name: string;
  readonly views: readonly View[];
}

export const FEAST_VIEWS = 25;
/** How long FStore keeps a value. */
export const TTL_DAYS = 365;
/**
 * The types of features in turn. Of 10, 4 are floats (alternating cents and full precision), 3 integers, 2 texts, 1
 * boolean.
 */
const TYPES: readonly FeatureType[] = [
  ...(['FLOAT64', 'FLOAT64', 'FLOAT64', 'FLOAT64', 'INT64', 'INT64', 'INT64'] as const),
  ...(['STRING', 'STRING', 'BOOL'] as const),
];
const COUNTRIES = ['NL', 'DE', 'FR', 'PL', 'US', 'BR', 'IN', 'JP'];
const CATEGORIES = [
  'grocery',
  'electronics',
  'travel',
  'fashion-and-accessories',
  'games',
  'fuel',
  'restaurants',
  'health',
];
/** Every 997th entity has a text that JSON escapes and UTF-8 encodes; every 53rd lacks its boolean. */
const ODD_TEXT_EVERY = 997;
const NULL_EVERY = 53;

function createView(name: string, prefix: string, count: number): View {
  const features = Array.from({ length: count }, (_, index) => ({
    name: `${prefix}${index}`,
    type: TYPES[index % 10]!,
  }));
  return { name, features };
}

const profile = createView('profile', 'f', 10);
const wide = createView('wide', 'f', 50);
/** The shape of Feast's own benchmark: 250 features in 25 views. */
const feastShape = Array.from({ length: FEAST_VIEWS }, (_, index) => {
  const name = `v${`${index}`.padStart(2, '0')}`;
  return createView(name, `${name}f`, 10);
});

export const TABLES: readonly Table[] = [
  { name: 'profiles', views: [profile] },
  { name: 'wides', views: [wide] },
  { name: 'shapes', views: feastShape },
];
export const VIEWS: readonly View[] = TABLES.flatMap(({ views }) => views);

/** Returns the view with this name. Throws if there is none. */
export function viewNamed(name: string): View {
  const view = VIEWS.find((one) => one.name === name);
  if (!view) throw new Error(`there is no view ${name}`);
  return view;
}

/**
 * Returns how many entities a table has. The table with 25 views has a tenth, because each of its entities is as large
 * as 25 profiles.
 */
export function entitiesOf(table: Table, entities: number): number {
  return table.views.length > 1 ? Math.max(1, Math.ceil(entities / 10)) : entities;
}

/** Returns the key of an entity. */
export function entityId(entity: number): string {
  return `u${entity}`;
}

/** Returns 32 pseudo-random bits. */
export function scramble(seed: number): number {
  let bits = Math.imul(seed ^ (seed >>> 16), 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

function featureValue(viewIndex: number, index: number, entity: number): Value {
  const bits = scramble(entity * 31_337 + viewIndex * 977 + index * 7 + 1);
  switch (index % 10) {
    case 0:
    case 2:
      return (bits % 1_000_000) / 100;
    case 1:
    case 3:
      return bits / 4_294_967_291;
    case 4:
      return `${bits % 1_000}`;
    case 5:
      return `${bits * 256 + (bits & 255)}`;
    case 6:
      return `${1_700_000_000 + (bits % 50_000_000)}`;
    case 7:
      return COUNTRIES[bits % 8]!;
    case 8:
      return entity % ODD_TEXT_EVERY === 0 ? 'Łódź "Nowe"\n' : CATEGORIES[bits % 8]!;
    default:
      return entity % NULL_EVERY === 0 ? null : (bits & 1) === 1;
  }
}

/** Returns the values of one entity in the order of the view's features. */
export function valuesOf(view: View, entity: number): Value[] {
  const viewIndex = VIEWS.indexOf(view);
  return view.features.map((_, index) => featureValue(viewIndex, index, entity));
}

/**
 * Returns the answer for one view as JSON: all features, then the status. `entity` is null for an entity that does not
 * exist.
 */
export function answerText(view: View, entity: number | null): string {
  const values = entity === null ? null : valuesOf(view, entity);
  const pairs = view.features.map(({ name }, index) => [name, values?.[index] ?? null] as const);
  return JSON.stringify({ ...Object.fromEntries(pairs), status: values ? 'PRESENT' : 'NOT_FOUND' });
}

/**
 * Returns one line of a table's file: the key, the time and the columns of all its views. INT64 values stay below 2^53.
 */
export function tableLine(table: Table, entity: number, eventTime: string): string {
  const row: Record<string, unknown> = { user_id: entityId(entity), event_time: eventTime };
  for (const view of table.views) {
    const values = valuesOf(view, entity);
    for (const [index, { name, type }] of view.features.entries()) {
      row[name] = type === 'INT64' ? Number(values[index]) : values[index];
    }
  }
  return `${JSON.stringify(row)}\n`;
}

/** Returns the name of a table's file. */
export function fileOf(table: Table): string {
  return `${table.name}.ndjson`;
}

/** Returns the definitions for FStore. The files must be in its batch folder. */
export function definitionsOf(tables: readonly Table[]): unknown[] {
  const sources = tables.map((table) => {
    const columns = table.views.flatMap(({ features }) => features.map(({ name, type }) => [name, type] as const));
    return {
      kind: 'source',
      name: table.name,
      schema: { user_id: 'STRING', event_time: 'TIMESTAMP', ...Object.fromEntries(columns) },
      timestamp: 'event_time',
      batch: { ndjson: fileOf(table) },
    };
  });
  const views = tables.flatMap((table) =>
    table.views.map(({ name, features }) => {
      const shared = { kind: 'featureView', name, entity: 'user', source: table.name, ttl: `${TTL_DAYS}d` };
      return { ...shared, features: features.map((feature) => feature.name) };
    }),
  );
  const user = { kind: 'entity', name: 'user', joinKeys: [{ name: 'user_id', type: 'STRING' }] };
  return [{ ...user, graphql: { type: 'User', key: 'id' } }, ...sources, ...views];
}
