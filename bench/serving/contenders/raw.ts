/**
 * The upper bound: node:http and ioredis, and nothing in between. It knows the operations in advance, so it parses no
 * GraphQL. Redis holds the answer of each view as the bytes to send, so it decodes nothing and copies.
 *
 *   node raw.js <port> <redis url>
 */
import { createServer, type IncomingMessage } from 'node:http';
import { answerText, viewNamed } from '../dataset.js';
import { queryOf, WORKLOADS, type Workload } from '../workload.js';
import { FragmentStore, fragmentKey } from './fragment-store.js';

const [port = '', url = ''] = process.argv.slice(2);
const store = new FragmentStore(url);

interface Plan {
  readonly form: Workload['form'];
  readonly views: readonly string[];
  /** `,"profile":` for each view. */
  readonly labels: readonly Buffer[];
  /** The answer for an entity that does not exist, for each view. */
  readonly missing: readonly Buffer[];
  readonly opening: string;
  readonly closing: string;
}

function planOf({ form, views }: Workload): Plan {
  return {
    ...{ form, views },
    labels: views.map((view) => Buffer.from(`,"${view}":`)),
    missing: views.map((view) => Buffer.from(answerText(viewNamed(view), null))),
    opening: { one: '{"data":{"user":', list: '{"data":{"users":[', entities: '{"data":{"_entities":[' }[form],
    closing: form === 'one' ? '}}}\n' : '}]}}\n',
  };
}

const plans = new Map(WORKLOADS.map((workload) => [queryOf(workload), planOf(workload)]));

interface Variables {
  readonly id?: string;
  readonly ids?: readonly string[];
  readonly representations?: readonly { readonly id: string }[];
}

function idsOf(variables: Variables): readonly string[] {
  return variables.ids ?? variables.representations?.map(({ id }) => id) ?? [variables.id!];
}

async function answer(body: string): Promise<Buffer> {
  const { query, variables } = JSON.parse(body) as { query: string; variables: Variables };
  const plan = plans.get(query);
  if (!plan) throw new Error('no operation of this benchmark');
  const ids = idsOf(variables);
  const { views, labels, missing } = plan;
  const keys: string[] = [];
  for (const id of ids) for (const view of views) keys.push(fragmentKey(view, id));
  const found = await store.read(keys);
  // Ids and view names are ASCII here, so their length equals their size in bytes.
  let head = '';
  let size = plan.closing.length;
  const heads: string[] = [];
  for (const id of ids) {
    head = `${head === '' ? plan.opening : '},'}{"id":${JSON.stringify(id)},"${views[0]}":`;
    heads.push(head);
    size += head.length;
  }
  for (let index = 0; index < found.length; index += 1) {
    const view = index % views.length;
    size += (found[index] ?? missing[view]!).length + (view === 0 ? 0 : labels[view]!.length);
  }
  const bytes = Buffer.allocUnsafe(size);
  let [at, next] = [0, 0];
  for (const one of heads) {
    at += bytes.write(one, at, 'latin1');
    for (let view = 0; view < views.length; view += 1) {
      if (view > 0) at += labels[view]!.copy(bytes, at);
      at += (found[next++] ?? missing[view]!).copy(bytes, at);
    }
  }
  bytes.write(plan.closing, at, 'latin1');
  return bytes;
}

function readBody(request: IncomingMessage, done: (body: string) => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => done((chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString()));
}

const server = createServer((request, response) => {
  readBody(request, (body) => {
    answer(body).then(
      (bytes) => {
        const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': bytes.length };
        response.writeHead(200, headers).end(bytes);
      },
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
});
server.listen(Number(port), '127.0.0.1');
