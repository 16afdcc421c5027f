// Fills a sandbox with a folder in one call, and brings back what was changed in it.
//   node sandbox.mjs seed FOLDER PATH COMMAND...      FOLDER -> PATH in the sandbox
//   node sandbox.mjs collect PATH FOLDER COMMAND...   PATH in the sandbox -> FOLDER
// COMMAND leads into the sandbox: docker exec -i NAME, kubectl exec -i POD --, podman exec -i NAME, ...
import { sync } from 'sparsync-native';

const [action, from, to, ...command] = process.argv.slice(2);
if (!['seed', 'collect'].includes(action) || command.length === 0) {
  console.error('usage: sandbox.mjs seed|collect FROM TO COMMAND...');
  process.exit(1);
}

/** The program at the other end is put there for each call, and is gone when that is over. */
const options = { delete: true, bootstrap: 'temp' };
const sandbox = (path) => ({ command, path });
const { stats, durationMs } =
  action === 'seed' ? await sync(from, sandbox(to), options) : await sync(sandbox(from), to, options);
console.log(`${stats.filesTransferred} files, ${stats.filesDeleted} deleted, ${Math.round(durationMs)} ms`);
