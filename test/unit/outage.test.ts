import { describe, expect, test } from '@jest/globals';
import { FStoreError } from '../../src/errors.js';
import { connecting, hostsOf, outageReason } from '../../src/outage.js';

describe('what is said of a server that does not answer', () => {
  test.each([
    ['postgres://user:pass@db.example:5432/fstore?sslmode=require', 'db.example:5432'],
    ['postgres://user:p%40ss@[::1]:5432/fstore', '[::1]:5432'],
    ['mongodb://u:p@a.example:27017,b.example:27018/fstore?replicaSet=rs0', 'a.example:27017,b.example:27018'],
    ['mongodb+srv://u:p@cluster.example/fstore', 'cluster.example'],
    ['postgres://user:a@b@db.example/fstore', 'db.example'],
    ['127.0.0.1:9092,127.0.0.1:9093', '127.0.0.1:9092,127.0.0.1:9093'],
  ])('the hosts of %s are named without user, password and path', (address, hosts) => {
    expect(hostsOf(address)).toBe(hosts);
  });

  test('the reason is that of the deepest cause, also of a host with several addresses', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
    const wrapped = new FStoreError('STORE_UNAVAILABLE', 'no', {}, [], { cause: refused });
    expect(outageReason(wrapped)).toBe(refused.message);
    expect(outageReason(new Error('x', { cause: new AggregateError([refused], '') }))).toBe(refused.message);
    expect(outageReason(Object.assign(new Error(''), { code: 'ETIMEDOUT' }))).toBe('ETIMEDOUT');
  });

  test('an error that is not an outage stays as it is', async () => {
    const defect = new TypeError('defect');
    const connect = () => Promise.reject(defect);
    await expect(connecting('PostgreSQL', 'FSTORE_POSTGRES_URL', 'postgres://a/b', connect)).rejects.toBe(defect);
  });
});
