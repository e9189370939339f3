/**
 * The REST API of training sets. A spine is uploaded as the body of a request and the file downloaded as the body of an
 * answer; both are streamed.
 *
 * - `POST /api/v1/training-sets?service=…`: the spine (CSV, NDJSON, Parquet or Arrow) → the job
 * - `GET  /api/v1/training-sets/:id`: the job; its result is the manifest
 * - `GET  /api/v1/training-sets/:id/data`, `…/manifest`: the files
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { FStoreError } from '../errors.js';
import { dataFile } from '../retrieval/training-set.js';
import {
  needsFile,
  readTrainingSetRequest,
  spineFile,
  submitTrainingSet,
  type TrainingSetRequest,
  trainingSetRequestOf,
} from '../retrieval/training-set-job.js';
import type { RequestServices } from '../schema/request-context.js';
import { type Job, unknownJob } from '../store/job-store.js';
import { exemptUpload } from './request-timeout.js';

const MEDIA_TYPES: Record<TrainingSetRequest['format'], string> = {
  csv: 'text/csv; charset=utf-8',
  ndjson: 'application/x-ndjson',
  parquet: 'application/vnd.apache.parquet',
  arrow: 'application/vnd.apache.arrow.file',
};

/** Returns the request in query parameters, which are all texts. */
function requestFromQuery(query: Record<string, string | undefined>): Record<string, unknown> {
  const { test, splitBy, seed, testFrom, before, known, fit, ...rest } = query;
  const flag = (name: string, text: string | undefined): Record<string, unknown> => {
    if (text === undefined) return {};
    return { [name]: text === '' || text === 'true' ? true : text === 'false' ? false : text };
  };
  const number = (text: string | undefined): unknown =>
    text === undefined || text.trim() === '' ? text : Number(text);
  let split: unknown;
  if (testFrom !== undefined) split = { by: 'time', testFrom };
  else if (test !== undefined) {
    split = { by: splitBy ?? 'row', test: number(test), ...(seed === undefined ? {} : { seed: number(seed) }) };
  }
  const flags = { ...flag('before', before), ...flag('known', known), ...flag('fit', fit) };
  return { ...rest, ...flags, ...(split ? { split } : {}) };
}

async function findJob({ jobs }: RequestServices, id: string): Promise<{ job: Job; request: TrainingSetRequest }> {
  const job = await jobs.get(id);
  if (!job) throw unknownJob(id, 'training set');
  return { job, request: trainingSetRequestOf(job) };
}

/** Returns what a client may know of a job. */
function publicJob({ number: _, ...job }: Job): Omit<Job, 'number'> {
  return job;
}

export const TRAINING_SETS_PATH = '/api/v1/training-sets';

/** An upload brings at least so many bytes in the time that a whole request has otherwise. */
const LEAST_BYTES = 64_000;

/** Registers the endpoints of training sets. `requestTimeout`: milliseconds in which LEAST_BYTES of an upload have to come. */
export function registerTrainingSets(app: FastifyInstance, services: RequestServices, requestTimeout: number): void {
  const { folder, maxSpineBytes } = services.trainingSets;
  app.register(async (rest) => {
    rest.removeAllContentTypeParsers();
    // The handler reads the body as a stream.
    rest.addContentTypeParser('*', (_, body, done) => done(null, body));
    rest.post<{ Querystring: Record<string, string> }>(
      '/api/v1/training-sets',
      { bodyLimit: maxSpineBytes },
      async (request, reply) => {
        const wanted = readTrainingSetRequest(
          requestFromQuery(request.query),
          services.snapshot(),
          services.trainingSets,
        );
        const own = join(folder, wanted.set);
        await mkdir(own, { recursive: true });
        try {
          if (needsFile(wanted)) {
            exemptUpload(request.raw.socket);
            const path = join(own, spineFile(wanted));
            await store(request.body as Readable | undefined, path, maxSpineBytes, requestTimeout);
          }
          return reply.code(202).send(publicJob(await submitTrainingSet(services, wanted)));
        } catch (error) {
          // What is left of the body is not read.
          reply.header('connection', 'close');
          await rm(own, { recursive: true, force: true });
          throw error;
        }
      },
    );
    rest.get<{ Params: { id: string } }>('/api/v1/training-sets/:id', async (request) => {
      return publicJob((await findJob(services, request.params.id)).job);
    });
    rest.get<{ Params: { id: string } }>('/api/v1/training-sets/:id/data', async (request, reply) => {
      const { job, request: wanted } = await findJob(services, request.params.id);
      const name = `${wanted.service}-${job.id}.${wanted.format}`;
      return sendFile(job, join(folder, wanted.set, dataFile(wanted.format)), MEDIA_TYPES[wanted.format], name, reply);
    });
    rest.get<{ Params: { id: string } }>('/api/v1/training-sets/:id/manifest', async (request, reply) => {
      const { job, request: wanted } = await findJob(services, request.params.id);
      const name = `${wanted.service}-${job.id}.json`;
      return sendFile(job, join(folder, wanted.set, 'manifest.json'), 'application/json', name, reply);
    });
  });
}

/** Writes an upload to disk. Throws EVENT_TOO_LARGE, BAD_REQUEST if it is empty, REQUEST_TIMEOUT if it comes too slowly. */
async function store(
  body: Readable | undefined,
  path: string,
  maxBytes: number,
  requestTimeout: number,
): Promise<void> {
  let bytes = 0;
  let lastBytes = 0;
  const slow = new AbortController();
  const timer = setInterval(() => {
    if (bytes - lastBytes < LEAST_BYTES) slow.abort();
    lastBytes = bytes;
  }, requestTimeout);
  const limited = async function* (): AsyncGenerator<Buffer> {
    // The request is not destroyed with the loop, or nobody could answer it.
    for await (const chunk of body?.iterator({ destroyOnReturn: false }) ?? []) {
      bytes += (chunk as Buffer).length;
      if (bytes > maxBytes) {
        const message = `the spine is larger than ${maxBytes} bytes, the limit of FSTORE_MAX_SPINE_BYTES`;
        throw new FStoreError('EVENT_TOO_LARGE', message, { field: 'body' });
      }
      yield chunk as Buffer;
    }
  };
  const late = new Promise<never>((_, reject) => {
    slow.signal.addEventListener('abort', () => {
      const message = `less than ${LEAST_BYTES} bytes of the spine came within ${requestTimeout} ms`;
      reject(new FStoreError('REQUEST_TIMEOUT', message, { field: 'body' }));
    });
  });
  const written = pipeline(limited(), createWriteStream(path), { signal: slow.signal });
  written.catch(() => {});
  try {
    await Promise.race([late, written]);
  } finally {
    clearInterval(timer);
  }
  if (bytes === 0) throw new FStoreError('BAD_REQUEST', 'the body is empty; it is the spine', { field: 'body' });
}

async function sendFile(
  job: Job,
  path: string,
  type: string,
  name: string,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (job.status !== 'SUCCEEDED') {
    const message = `training set ${job.id} is ${job.status}`;
    throw new FStoreError('TRAINING_SET_UNFINISHED', message, { field: 'id' });
  }
  const { size } = await stat(path).catch((error: unknown) => {
    throw new FStoreError('TRAINING_SET_GONE', `the file of training set ${job.id}`, { field: 'id' }, [], {
      cause: error,
    });
  });
  return reply
    .type(type)
    .header('content-length', size)
    .header('content-disposition', `attachment; filename="${name}"`)
    .send(createReadStream(path));
}
