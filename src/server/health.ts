/**
 * The endpoints for probes: `/health` says that the process runs, `/ready` whether its stores answer.
 *
 * Both answer without a key, so they reveal states and nothing else. Errors of drivers go to the log, once for each
 * change of state.
 */
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { LiveSchema } from '../schema/live-schema.js';

/** Paths of the probes. */
export const PROBE_PATHS: ReadonlySet<string> = new Set(['/health', '/ready']);

/** How long a store may take to answer, in milliseconds. */
const PROBE_TIMEOUT = 2_000;

type ProbeState = 'ok' | 'unavailable' | 'timeout';

/** What the probes report on. */
export interface HealthOptions {
  readonly live: LiveSchema;
  readonly log: Logger;
  /**
   * A probe for each store that must answer for this process to be ready. A probe rejects if its store does not answer.
   */
  readonly probes: Readonly<Record<string, () => Promise<void>>>;
  /** Returns how many workers are alive. Rejects if its store does not answer. */
  readonly countWorkers: () => Promise<number>;
}

/**
 * Whether events are processed. It does not make a server unready, because the server still answers reads and accepts
 * events.
 */
type WorkerState = 'ok' | 'absent' | 'unknown';

/** What `/ready` tells beside the stores. */
export interface ProcessState {
  /** True once the process stops: /ready is 503, and everything else is still answered. */
  readonly isStopping: () => boolean;
}

/** Registers `GET /health` and `GET /ready`. */
export function registerHealth(
  app: FastifyInstance,
  { live, log, probes, countWorkers }: HealthOptions,
  { isStopping }: ProcessState,
): void {
  const known = new Map<string, ProbeState>();
  let knownWorker: WorkerState = 'ok';
  const findWorker = async (): Promise<WorkerState> => {
    const { state, value } = await probeStore(countWorkers);
    if (state !== 'ok') return 'unknown';
    const worker = value === 0 ? 'absent' : 'ok';
    if (worker !== knownWorker) {
      if (worker === 'ok') log.info('a worker is alive again');
      else log.warn('no worker is alive: events wait in the event bus');
    }
    knownWorker = worker;
    return worker;
  };
  app.get('/health', async () => ({ status: 'ok', revision: live.current.snapshot.revision }));
  app.get('/ready', async (_, reply) => {
    if (isStopping()) return reply.code(503).send({ status: 'stopping' });
    const finding = findWorker();
    const states = await Promise.all(
      Object.entries(probes).map(async ([name, probe]) => {
        const { state, error } = await probeStore(probe);
        if (state !== (known.get(name) ?? 'ok')) {
          if (state === 'ok') log.info({ store: name }, 'the store answers again');
          else log.warn({ store: name, state, err: error }, 'the store does not answer');
        }
        known.set(name, state);
        return [name, state] as const;
      }),
    );
    const ready = states.every(([, state]) => state === 'ok');
    return reply
      .code(ready ? 200 : 503)
      .send({ status: ready ? 'ok' : 'unavailable', stores: Object.fromEntries(states), worker: await finding });
  });
}

interface Probed<T> {
  readonly state: ProbeState;
  readonly value?: T;
  readonly error?: unknown;
}

async function probeStore<T>(probe: () => Promise<T>): Promise<Probed<T>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Probed<T>>((resolve) => {
    timer = setTimeout(() => resolve({ state: 'timeout' }), PROBE_TIMEOUT);
  });
  const answered = probe().then(
    (value): Probed<T> => ({ state: 'ok', value }),
    (error: unknown): Probed<T> => ({ state: 'unavailable', error }),
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}
