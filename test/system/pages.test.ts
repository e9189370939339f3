/** The blocks of the documentation, done as they stand there; those of docs/sources are in source-pages.test.ts. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Kind, parse } from 'graphql';
import pg from 'pg';
import { parseAllDocuments } from 'yaml';
import { parseConsole, parseHttp } from '../harness/block-parsers.js';
import { eventually } from '../harness/eventually.js';
import { allPages, type Block, isSourcePage, type Page, treatmentOf } from '../harness/pages.js';
import { scaled } from '../harness/time-factor.js';
import { apply, ask, push } from './graphql-door.js';
import { openShell, type ShellResult, writeLabels } from './page-shell.js';
import { createPlatform, type FStoreProcess, type Platform } from './platform.js';

const FRAUD = 'examples/fraud-detection/README.md';
/** A transaction of the fraud page, whose time tells how far the page's times are from those of this run. */
const SHOWN = { id: 'tx_7_00009993', at: '2026-11-23T19:23:33.258Z' };
const INSTANT = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;
const variables = { user: 'user_00001', merchant: 'merchant_0001', card: 'card_00001_0' };

const pages = allPages();
const isRun = (page: Page, block: Block): boolean => treatmentOf(page.path, block) === 'run';
const runnable = pages.filter((page) => !isSourcePage(page.path) && page.blocks.some((block) => isRun(page, block)));
const first = ['README.md', 'QUICKSTART.md'];
const others = runnable.map(({ path }) => path).filter((path) => !first.includes(path) && path !== FRAUD);
const ran = new Set<string>();

const isSubscription = ({ language, body }: Block): boolean =>
  language === 'graphql' &&
  parse(body).definitions.some((one) => one.kind === Kind.OPERATION_DEFINITION && one.operation === 'subscription');

/** Paths of all nulls within an answer. */
function nullsOf(value: unknown, path = ''): string[] {
  if (value === null) return [path];
  if (typeof value !== 'object') return [];
  return Object.entries(value as object).flatMap(([name, item]) => nullsOf(item, `${path}.${name}`));
}

/** An answer without its times; where `loose`, numbers and texts other than statuses count by their type. */
function comparable(value: unknown, loose: boolean): unknown {
  return JSON.parse(JSON.stringify(value), (name, item) => {
    if (typeof item === 'string' && new RegExp(`^${INSTANT.source}$`).test(item)) return 'an instant';
    return loose && name !== 'status' && ['string', 'number'].includes(typeof item) ? typeof item : item;
  });
}

describe.each([
  { name: 'README and QUICKSTART', paths: first, keys: {} },
  { name: 'the fraud example and docs', paths: [FRAUD, ...others], keys: { merchant_id: 'm1', card_id: 'c1' } },
])('the blocks of $name', ({ paths, keys }) => {
  let platform: Platform;
  let fstore: FStoreProcess;
  let shell: (script: string) => Promise<ShellResult>;
  const event = (amount: number) => ({
    ...{ user_id: 'u1', amount, country: 'NL', event_time: new Date().toISOString() },
    ...keys,
  });
  beforeAll(async () => {
    platform = await createPlatform('embedded');
    fstore = await platform.start();
    shell = await openShell(platform.folder, fstore.url);
    await writeFile(join(platform.folder, 'event.json'), JSON.stringify(event(1)));
  }, scaled(120_000));
  afterAll(() => platform?.drop());

  /** Moves the times of the fraud page to those of the transactions that it makes now. */
  function moveInstants(text: string): string {
    const lines = readFileSync(join(platform.folder, 'transactions.ndjson'), 'utf8').split('\n');
    const made = JSON.parse(lines.find((line) => line.includes(SHOWN.id))!) as { event_time: string };
    const offset = Date.parse(made.event_time) - Date.parse(SHOWN.at);
    return text.replaceAll(INSTANT, (instant) => new Date(Date.parse(instant) + offset).toISOString());
  }

  /** Opens a subscription over SSE, pushes an event, and returns when a value has come. */
  async function receive(query: string): Promise<void> {
    const end = new AbortController();
    const response = await fetch(`${fstore.url}/graphql/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query }),
      signal: AbortSignal.any([end.signal, AbortSignal.timeout(scaled(20_000))]),
    });
    expect(response.status).toBe(200);
    await push(fstore.url, 'transactions', [event(13)]);
    let text = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes('event: next')) break;
    }
    end.abort();
    expect(text).toContain('"data"');
    expect(text).not.toContain('"errors"');
  }

  /** Asks until the answer is what the JSON behind the block shows, or, without one, has no null. */
  async function answer(page: Page, block: Block): Promise<void> {
    const next = page.blocks[page.blocks.indexOf(block) + 1];
    const shown = next?.language === 'json' ? (JSON.parse(next.body) as { data?: unknown }) : null;
    const query = page.path === FRAUD ? moveInstants(block.body) : block.body;
    await eventually(async () => {
      const data = await ask<object>(fstore.url, query, /\(\$/.test(query) ? variables : {});
      const loose = page.path === FRAUD;
      if (shown) expect(comparable(data, loose)).toEqual(comparable(shown.data ?? shown, loose));
      else expect(nullsOf(data)).toEqual([]);
    });
  }

  /** Has the embedded PostgreSQL parse statements; a function body is parsed before its first line returns. */
  async function parseSql(sql: string): Promise<void> {
    const folder = platform.environment.FSTORE_DATA_DIR!;
    const port = Number(readFileSync(join(folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[3]);
    const password = readFileSync(join(folder, 'password'), 'utf8').trim();
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'fstore', password, database: 'postgres' });
    await client.connect();
    try {
      await client.query(`DO $block$ BEGIN RETURN; ${sql} END $block$`);
    } finally {
      await client.end();
    }
  }

  async function runBlock(page: Page, block: Block): Promise<void> {
    const { language, body, file } = block;
    if (language === 'yaml' && file) await writeFile(join(platform.folder, file), body);
    else if (language === 'yaml') {
      await apply(
        fstore.url,
        parseAllDocuments(body).map((document) => document.toJS() as unknown),
      );
    } else if (language === 'sql') await parseSql(body);
    else if (language === 'http') {
      const { path, ...request } = parseHttp(body);
      const response = await fetch(`${fstore.url}${path}`, request);
      const answered = (await response.json()) as { errors?: unknown };
      expect({ status: response.status, errors: answered.errors, nulls: nullsOf(answered) }).toEqual({
        status: 200,
        nulls: [],
      });
    } else if (language === 'graphql') await (isSubscription(block) ? receive(body) : answer(page, block));
    else if (language === 'sh') {
      if (body.includes('labels.csv')) await writeLabels(join(platform.folder, 'labels.csv'));
      expect(await shell(body)).toMatchObject({ code: 0 });
    } else {
      for (const { command, output } of parseConsole(body)) {
        const result = await shell(command);
        if (output[0]) expect(result.output).toContain(output[0].slice(0, 10));
        else expect(result).toMatchObject({ code: 0 });
      }
    }
    ran.add(block.at);
  }

  // A subscription pushes an event, which the values that other blocks show do not count.
  const blocks = paths
    .map((path) => pages.find((page) => page.path === path)!)
    .flatMap((page) => {
      const own = page.blocks.filter((block) => isRun(page, block));
      return [...own.filter((one) => !isSubscription(one)), ...own.filter(isSubscription)].map((block) => ({
        page,
        block,
      }));
    });
  test.each(blocks.map(({ page, block }) => [block.at, block.language, page, block] as const))(
    '%s (%s) does what it says',
    (_at, _language, page, block) => runBlock(page, block),
    scaled(120_000),
  );
});

test('every block of the documentation is run, parsed or marked', () => {
  const counts: Record<string, number> = {};
  for (const page of pages) {
    for (const block of page.blocks) {
      const treatment = treatmentOf(page.path, block);
      counts[treatment] = (counts[treatment] ?? 0) + 1;
      if (treatment === 'run' && !isSourcePage(page.path)) expect(ran).toContain(block.at);
    }
  }
  const { run = 0, parsed = 0, marked = 0, output = 0 } = counts;
  process.stdout.write(
    `blocks of the documentation: ${run} run, ${parsed} parsed, ${marked} marked, ${output} output\n`,
  );
});
