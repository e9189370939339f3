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

export const offlinePlatforms: [name: string, open: () => Promise<OfflinePlatform>][] = [
  ['PostgreSQL', openPostgresPlatform],
];
