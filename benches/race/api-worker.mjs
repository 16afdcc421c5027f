// The client process of the API's figures: a plain program as a user would write it, with one connection that stays, or none between two folders.
// Not TypeScript, so that no loader counts as its memory. Its parent says what to push, and hears what that took.
import { connect, sync } from '../../dist/index.js';

let connection;

async function push({ source, destination, options: wishes }) {
  const options = { delete: true, owner: true, group: true, ...wishes };
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const { stats } = await (connection?.push(source, destination, options) ?? sync(source, destination, options));
  const wallMs = performance.now() - begun;
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000, wireBytes: stats.bytesSent + stats.bytesReceived };
}

async function answer(message) {
  if (message.source !== undefined) return push(message);
  if (message.url === undefined) return {};
  const { url, pin, keyPath, transport } = message;
  const options = { trust: { pin }, identity: { keyPath } };
  // Older builds, which are raced beside this one, know no transports.
  connection = await connect(url, transport === undefined ? options : { ...options, transport });
  return {};
}

process.on('message', async (message) => {
  try {
    process.send(await answer(message));
  } catch (error) {
    process.send({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
process.once('disconnect', () => void connection?.close());
