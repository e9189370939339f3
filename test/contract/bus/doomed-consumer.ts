/**
 * A process that joins a group, tells on stdout what its handler got, and never finishes with it: for tests that kill it.
 * Arguments: the address of the bus as JSON, the group, the topic.
 */
import { connectBus } from './bus-platforms.js';

const [address = '', group = '', topic = ''] = process.argv.slice(2);
const bus = await connectBus(JSON.parse(address));
await bus.consume(group, topic, async ({ partition, messages }) => {
  const values = messages.map(({ value }) => value.toString());
  console.log(JSON.stringify({ partition, values }));
  await new Promise(() => {});
});
setInterval(() => {}, 60_000);
