/**
 * Is the worker in this container well? It has no door to knock at, so this looks for an established TCP connection to a
 * port of its event bus: Kafka's, or PostgreSQL's when that carries the events. Exit code 0 or 1.
 */
import { readFileSync } from 'node:fs';

const ESTABLISHED = '01';
const { FSTORE_KAFKA_BROKERS, FSTORE_POSTGRES_URL } = process.env;
const ports = FSTORE_KAFKA_BROKERS
  ? FSTORE_KAFKA_BROKERS.split(',').map((broker) => Number(broker.split(':').at(-1)))
  : [Number(new URL(FSTORE_POSTGRES_URL ?? 'postgres://localhost').port || 5432)];

/** The kernel's tables: slot, local address, remote address as hexadecimal ip:port, state. */
const connected = ['/proc/net/tcp', '/proc/net/tcp6'].some((table) =>
  readFileSync(table, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .some(([, , remote, state]) => state === ESTABLISHED && ports.includes(Number.parseInt(remote.split(':')[1], 16))),
);
process.exitCode = connected ? 0 : 1;
