import type { EventBus } from '../bus/event-bus.js';
import { updateTopic } from '../bus/value-update.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { OfflineStore } from '../store/offline-store.js';
import { batchTopic, busTopic, deadLetterTopic } from './source-contract.js';

/** Creates the tables and topics that a snapshot needs and that do not exist yet. */
export async function prepareSnapshot(
  snapshot: Snapshot,
  stores: { offline: OfflineStore; bus: EventBus },
): Promise<void> {
  const topics = new Set<string>([updateTopic(snapshot.project)]);
  for (const { name, meaning } of snapshot.sources.values()) {
    if (meaning.batch) topics.add(deadLetterTopic(batchTopic(snapshot.project, name)));
    if (meaning.topic === null) continue;
    const topic = busTopic(snapshot.project, meaning.topic);
    topics.add(topic).add(deadLetterTopic(topic));
  }
  await stores.offline.prepare([...snapshot.views.values()]);
  await stores.bus.ensureTopics([...topics]);
}
