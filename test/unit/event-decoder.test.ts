import { describe, expect, test } from '@jest/globals';
import { parseDefinitions, planDefinitions } from '../../src/definition/plan.js';
import { decodeEvent, eventJson } from '../../src/materialization/event-decoder.js';
import { onlyJson } from '../../src/materialization/payload-format.js';
import { contractOf, type SourceContract } from '../../src/materialization/source-contract.js';
import { createSnapshot } from '../../src/registry/snapshot.js';
import { computation } from '../../src/transformation/computation.js';
import { all } from './fakes/example-definitions.js';

const NOW = Date.UTC(2026, 0, 31, 12);
const reserved = { types: new Set<string>(), queries: new Set<string>(), subscriptions: new Set<string>() };
const { records } = planDefinitions([], parseDefinitions(all), { prune: false, retire: [], reserved, computation });
const contract: SourceContract = contractOf(
  createSnapshot({ project: 'p', revision: 1, records }),
  'transactions',
  {
    clockSkew: 60_000,
    maxBytes: 1_000,
  },
  onlyJson,
);
const decode = (text: string | Buffer) => decodeEvent(Buffer.from(text as string), contract, NOW);
const fields = '"user_id":"u1","card_id":7,"amount":1.5,"country":"NL"';
const time = (offset: number): string => `"event_time":"${new Date(NOW + offset).toISOString()}"`;

describe('an event', () => {
  test('is read with every digit of its integers', () => {
    const decoded = decode(`{"user_id":"u1","card_id":9007199254740993,"amount":1234567890123456.5,${time(0)}}`);
    if (!decoded.ok) throw new Error(decoded.error.message);
    expect(decoded.event.columns.get('card_id')).toBe(9007199254740993n);
    expect(decoded.event.columns.get('amount')).toBe(1234567890123456.5);
    expect(decoded.event.keys.get('purchase_stats@1')?.text).toBe('u1|9007199254740993');
  });

  test('is written to the log in a form that reads to the same values', () => {
    const decoded = decode(`{${fields},${time(-5)}}`);
    if (!decoded.ok) throw new Error(decoded.error.message);
    const again = decode(eventJson(decoded.event, contract.meaning));
    expect(again).toEqual(decoded);
  });

  test('that is nested thousands of times in itself is refused like any other', () => {
    const nested = `${'['.repeat(3_000)}${']'.repeat(3_000)}`;
    const roomy = { ...contract, limits: { ...contract.limits, maxBytes: 1_000_000 } };
    const event = Buffer.from(`{"user_id":"u1","card_id":7,"amount":${nested},${time(0)}}`);
    expect(decodeEvent(event, roomy, NOW)).toMatchObject({ ok: false, error: { code: 'EVENT_FIELD_TYPE' } });
  });

  test('may lie within the clock skew of the future', () => {
    expect(decode(`{${fields},${time(60_000)}}`).ok).toBe(true);
    expect(decode(`{${fields},${time(60_001)}}`)).toMatchObject({
      ok: false,
      error: { code: 'EVENT_FROM_THE_FUTURE' },
    });
  });

  const bad: [string, string | Buffer, string, string | null][] = [
    ['that is no JSON', '{', 'EVENT_MALFORMED', null],
    ['that is empty', '', 'EVENT_MALFORMED', null],
    ['that is a list', '[]', 'EVENT_MALFORMED', null],
    ['that is a number', '9007199254740993', 'EVENT_MALFORMED', null],
    ['that is null', 'null', 'EVENT_MALFORMED', null],
    ['that is not UTF-8', Buffer.from([0xff, 0xfe]), 'EVENT_MALFORMED', null],
    ['with an unknown field', `{${fields},${time(0)},"colour":1}`, 'EVENT_FIELD_UNKNOWN', 'colour'],
    ['with the field __proto__', `{${fields},${time(0)},"__proto__":{}}`, 'EVENT_FIELD_UNKNOWN', '__proto__'],
    ['with the field constructor', `{${fields},${time(0)},"constructor":1}`, 'EVENT_FIELD_UNKNOWN', 'constructor'],
    ['with text for a number', `{"user_id":"u1","card_id":7,"amount":"1",${time(0)}}`, 'EVENT_FIELD_TYPE', 'amount'],
    [
      'with a number beyond doubles',
      `{"user_id":"u1","card_id":7,"amount":1e999,${time(0)}}`,
      'EVENT_FIELD_TYPE',
      'amount',
    ],
    ['with a fraction for an integer', `{"user_id":"u1","card_id":7.5,${time(0)}}`, 'EVENT_FIELD_TYPE', 'card_id'],
    ['with a null character', `{"user_id":"u\\u0000","card_id":7,${time(0)}}`, 'EVENT_FIELD_TYPE', 'user_id'],
    ['without its time', `{${fields}}`, 'EVENT_TIME_MISSING', 'event_time'],
    ['with a time without a zone', `{${fields},"event_time":"2026-01-01T00:00:00"}`, 'EVENT_FIELD_TYPE', 'event_time'],
    ['without a join key', `{"card_id":7,${time(0)}}`, 'EVENT_KEY_MISSING', 'user_id'],
    ['with an empty join key', `{"user_id":"","card_id":7,${time(0)}}`, 'EVENT_KEY_MISSING', 'user_id'],
    ['with a huge join key', `{"user_id":"${'x'.repeat(513)}","card_id":7,${time(0)}}`, 'KEY_INVALID', 'user_id'],
    ['that is too large', `{"user_id":"${'x'.repeat(1_000)}"}`, 'EVENT_TOO_LARGE', null],
  ];
  test.each(bad)('%s is unusable', (_, text, code, field) => {
    expect(decode(text)).toMatchObject({ ok: false, error: { code, field } });
  });
});
