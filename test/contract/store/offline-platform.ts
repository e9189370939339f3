/** The offline stores that the contract suites run over. */
import type { ViewVersion } from '../../../src/definition/view-version.js';
import type { OfflineStore } from '../../../src/store/offline-store.js';
import { openPostgresPlatform } from './postgres-platform.js';

/** A real server with the same data behind two stores, as two processes have it. */
export interface OfflinePlatform {
  readonly store: OfflineStore;
  readonly other: OfflineStore;
  /** How many rows the history of a view has. */
  countRows(view: ViewVersion): Promise<number>;
  close(): Promise<void>;
}

/** What an administrator may have set, and what must make no difference. */
const OTHER_DEFAULTS = [
  `timezone = 'Asia/Kathmandu'`,
  `datestyle = 'German'`,
  `bytea_output = 'escape'`,
  'extra_float_digits = -5',
  `default_transaction_isolation = 'repeatable read'`,
];

export const offlinePlatforms: [name: string, open: () => Promise<OfflinePlatform>][] = [
  ['PostgreSQL', () => openPostgresPlatform()],
  ['PostgreSQL with other defaults', () => openPostgresPlatform(OTHER_DEFAULTS)],
];
