/** The measured views, and a recount of their values that shares no code with FStore. */

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];

interface MeasuredWindow {
  readonly length: string;
  readonly lengthMs: number;
  /** FStore's default hop for this length. */
  readonly hopMs: number;
}

const FIVE_MINUTES: MeasuredWindow = { length: '5m', lengthMs: 5 * MINUTE, hopMs: 5 * MINUTE };
const ONE_HOUR: MeasuredWindow = { length: '1h', lengthMs: HOUR, hopMs: 5 * MINUTE };
const ONE_DAY: MeasuredWindow = { length: '24h', lengthMs: DAY, hopMs: HOUR };
const ONE_WEEK: MeasuredWindow = { length: '7d', lengthMs: 7 * DAY, hopMs: HOUR };

interface Aggregation {
  readonly name: string;
  readonly function: 'sum' | 'count' | 'avg';
  readonly windows: readonly MeasuredWindow[];
}

/** The aggregations of the measured views, by number of windows (and so of features). */
const VIEWS: Readonly<Record<number, readonly Aggregation[]>> = {
  1: [{ name: 'spend', function: 'sum', windows: [ONE_HOUR] }],
  4: [
    { name: 'spend', function: 'sum', windows: [ONE_HOUR, ONE_DAY] },
    { name: 'transactions', function: 'count', windows: [ONE_HOUR, ONE_DAY] },
  ],
  12: [
    { name: 'spend', function: 'sum', windows: [FIVE_MINUTES, ONE_HOUR, ONE_DAY, ONE_WEEK] },
    { name: 'transactions', function: 'count', windows: [FIVE_MINUTES, ONE_HOUR, ONE_DAY, ONE_WEEK] },
    { name: 'average', function: 'avg', windows: [FIVE_MINUTES, ONE_HOUR, ONE_DAY, ONE_WEEK] },
  ],
};

export const WINDOW_COUNTS = Object.keys(VIEWS).map(Number);
export const HISTORY_SPAN = 7 * DAY;
export const SOURCE = 'transactions';
const VIEW = 'user_spending';
/** The view that keys of the online store are made of. */
export const MEASURED = { entity: 'user', id: `${VIEW}@1` };

/** One event, as its producer remembers it. */
export interface ProducedEvent {
  readonly user: string;
  readonly amount: number;
  readonly eventTime: number;
}

/** Returns a transaction as the JSON that goes through Kafka, about 160 bytes. */
export function eventJson({ user, amount, eventTime }: ProducedEvent, number: number): string {
  return JSON.stringify({
    transaction_id: `t${number.toString(36).padStart(9, '0')}`,
    user_id: user,
    merchant_id: `m${number % 997}`,
    amount,
    country: ['NL', 'DE', 'FR', 'GB', 'US'][number % 5],
    channel: number % 3 === 0 ? 'online' : 'terminal',
    event_time: new Date(eventTime).toISOString(),
  });
}

/** Returns the definitions of an entity, a source, and a view with this number of windows. */
export function definitionsOf(windows: number): unknown[] {
  return [
    {
      kind: 'entity',
      name: 'user',
      joinKeys: [{ name: 'user_id', type: 'STRING' }],
      graphql: { type: 'User', key: 'id' },
    },
    {
      kind: 'source',
      name: SOURCE,
      schema: {
        ...{ transaction_id: 'STRING', user_id: 'STRING', merchant_id: 'STRING', amount: 'FLOAT64' },
        ...{ country: 'STRING', channel: 'STRING', event_time: 'TIMESTAMP' },
      },
      timestamp: 'event_time',
      stream: {},
    },
    {
      kind: 'featureView',
      name: VIEW,
      entity: 'user',
      source: SOURCE,
      ttl: '90d',
      aggregations: aggregationsOf(windows).map(({ name, function: kind, windows: lengths }) => ({
        ...{ name, function: kind, windows: lengths.map(({ length }) => length) },
        ...(kind === 'count' ? {} : { column: 'amount' }),
      })),
    },
  ];
}

function aggregationsOf(windows: number): readonly Aggregation[] {
  const aggregations = VIEWS[windows];
  if (!aggregations) throw new Error(`there is no view of ${windows} windows, but of ${WINDOW_COUNTS.join(', ')}`);
  return aggregations;
}

interface Feature {
  /** Its field in the generated schema. */
  readonly field: string;
  readonly function: Aggregation['function'];
  readonly window: MeasuredWindow;
}

/** Returns the features of the view with this number of windows. */
export function featuresOf(windows: number): Feature[] {
  return aggregationsOf(windows).flatMap((one) =>
    one.windows.map((window) => ({ field: `${one.name}${window.length}`, function: one.function, window })),
  );
}

/** Returns a short description of the view: `sum 1h,24h; count 1h,24h`. */
export function describeView(windows: number): string {
  return aggregationsOf(windows)
    .map((one) => `${one.function} ${one.windows.map(({ length }) => length).join(',')}`)
    .join('; ');
}

/** Returns the value of a feature at an instant, computed from all events of one user. */
export function recount(feature: Feature, events: readonly ProducedEvent[], at: number): number | null {
  const { lengthMs, hopMs } = feature.window;
  const tail = Math.floor((at - lengthMs) / hopMs) * hopMs;
  const covered = events.filter(({ eventTime }) => eventTime >= tail && eventTime <= at);
  if (feature.function === 'count') return covered.length;
  if (covered.length === 0) return null;
  const sum = covered.reduce((total, { amount }) => total + amount, 0);
  return feature.function === 'sum' ? sum : sum / covered.length;
}
