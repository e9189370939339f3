import { execSync, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { connectKafkaBus } from '../../../src/bus/event-bus-kafka.js';
import { startKafka } from '../../harness/kafka-server.js';

const folder = mkdtempSync('/tmp/mykafka/k-');
const server = await startKafka(folder);
const pids = () =>
  execSync(`pgrep -f '^[^ ]*java .*${folder}/server.properties' || true`).toString().trim().split('\n').filter(Boolean);
const pid = pids()[0]!;
const cmd = execSync(`tr '\\0' '\\n' < /proc/${pid}/cmdline`).toString().split('\n').filter(Boolean);
const t0 = Date.now();
const say = (...x: unknown[]) => console.log(((Date.now() - t0) / 1000).toFixed(1), ...x);
const log = (l: string, m: string, f?: any) => {
  if (l !== 'debug') say(l, m, JSON.stringify(f ?? {}).slice(0, 150));
};
const bus = await connectKafkaBus({ brokers: [server.endpoint], log });
await bus.ensureTopics(['t']);
const got = new Map<string, number>();
const followed = new Map<string, number>();
const sub = await bus.consume('g', 't', async (b) => {
  for (const m of b.messages) got.set(String(m.value), (got.get(String(m.value)) ?? 0) + 1);
});
const fol = await bus.follow('t', (b) => {
  for (const m of b.messages) followed.set(String(m.value), (followed.get(String(m.value)) ?? 0) + 1);
});
const acked: string[] = [];
let failed = 0;
let n = 0;
let go = true;
let longest = 0;
const pub = (async () => {
  while (go) {
    const v = `${n++}`;
    const t = Date.now();
    try {
      await bus.publish('t', [{ key: `k${n % 10}`, value: Buffer.from(v) }]);
      acked.push(v);
    } catch (e: any) {
      failed++;
      if (failed < 4) say('publish failed', e.code, e.message);
    }
    longest = Math.max(longest, Date.now() - t);
    await new Promise((r) => setTimeout(r, 10));
  }
})();
const wait = (ms: number) => new Promise((r) => setTimeout(r, ms));
await wait(2000);
say('kill -9', acked.length);
process.kill(Number(pid), 'SIGKILL');
await wait(1000);
{
  const t = Date.now();
  try {
    await bus.ping();
    say('ping ok?!');
  } catch (e: any) {
    say('ping', e.code, Date.now() - t);
  }
}
await wait(Number(process.argv[2] ?? 8000));
say('restart', acked.length, failed);
const again = spawn(cmd[0]!, cmd.slice(1), { stdio: 'ignore' });
const before = acked.length;
while (acked.length < before + 50) await wait(50);
say('publishing again; longest publish', longest);
await wait(1000);
go = false;
await pub;
const missing = () => acked.filter((v) => !got.has(v)).length;
const missingF = () => acked.filter((v) => !followed.has(v)).length;
const deadline = Date.now() + 60000;
while ((missing() || missingF()) && Date.now() < deadline) await wait(50);
say(
  'missing',
  missing(),
  missingF(),
  'acked',
  acked.length,
  'failed',
  failed,
  'dups',
  [...got.values()].filter((c) => c > 1).length,
  [...followed.values()].filter((c) => c > 1).length,
);
await bus.ping();
say('ping ok');
{
  const t = Date.now();
  process.kill(again.pid!, 'SIGKILL');
  await sub.stop();
  await fol.stop();
  say('stop with the broker dead', Date.now() - t);
  await bus.close();
  say('close', Date.now() - t);
}
await server.stop().catch(() => {});
say('done');
process.exit(0);
