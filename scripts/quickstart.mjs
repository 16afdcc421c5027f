// Installs, builds, and does the main job on a real tree: the installed node_modules, over QUIC to a server on loopback.
import { fork } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildNative } from './build-native.mjs';
import { buildTs } from './build-ts.mjs';
import { has, mustRun, ROOT } from './process.mjs';
import { installDependencies, requireToolchain } from './setup.mjs';
import { compareTrees } from './tree-compare.mjs';

async function step(name, work) {
  process.stderr.write(`${name} … `);
  const begun = performance.now();
  const result = await work();
  process.stderr.write(`${((performance.now() - begun) / 1000).toFixed(1)} s\n`);
  return result;
}

/** Regular files below a folder, in the order of a walk. */
function files(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((path) => lstatSync(path).isFile());
}

/** What a week of work does to a tree: every 100th file longer, every 150th gone, one package gone. */
function mutate(source) {
  const all = files(source);
  const edited = all.filter((_, index) => index % 100 === 0);
  const removed = all.filter((_, index) => index % 150 === 75);
  for (const path of edited) appendFileSync(path, '\n// edited\n');
  for (const path of removed) rmSync(path);
  rmSync(join(source, 'typescript', 'lib'), { recursive: true });
}

async function check(source, destination) {
  const { entries, differences } = compareTrees(source, destination);
  if (differences.length > 0) throw new Error(`The trees differ:\n${differences.slice(0, 20).join('\n')}`);
  if (!(await has('rsync'))) return `${entries} entries equal by our own walk (rsync is not installed)`;
  const { stdout } = await mustRun('rsync', ['-ainc', '--delete', `${source}/`, `${destination}/`]);
  if (stdout !== '') throw new Error(`rsync would still change:\n${stdout}`);
  return `${entries} entries equal by our own walk, and rsync would change nothing`;
}

function table(rows) {
  const cells = [
    ['run', 'entries', 'files sent', 'deleted', 'MB sent', 'seconds'],
    ...rows.map(({ name, stats, durationMs }) => [
      name,
      String(stats.entriesSource),
      String(stats.filesTransferred),
      String(stats.filesDeleted + stats.directoriesDeleted),
      (stats.bytesTransferred / 1e6).toFixed(1),
      (durationMs / 1000).toFixed(2),
    ]),
  ];
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const line = (row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])));
  return cells.map((row) => line(row).join('   ')).join('\n');
}

async function main(work) {
  const source = join(work, 'source');
  const destination = join(work, 'destination');
  mkdirSync(destination);
  process.env.SPARSYNC_CONFIG_DIR = join(work, 'client', 'config');
  process.env.SPARSYNC_STATE_DIR = join(work, 'client', 'state');
  await step('Copying node_modules to a folder that may be changed', () =>
    cpSync(join(ROOT, 'node_modules'), source, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true }),
  );

  const { sync, identity } = await import('../dist/index.js');
  const server = fork(join(ROOT, 'scripts', 'quickstart-server.mjs'), {
    env: {
      ...process.env,
      SPARSYNC_CONFIG_DIR: join(work, 'server', 'config'),
      SPARSYNC_STATE_DIR: join(work, 'server', 'state'),
    },
  });
  const ended = once(server, 'exit');
  try {
    server.send({ root: destination, clientKey: (await identity()).publicKey });
    const [{ url, publicKey }] = await Promise.race([
      once(server, 'message'),
      ended.then(([code]) => Promise.reject(new Error(`the server ended with ${code}`))),
    ]);
    const rows = [];
    const run = async (name) => {
      const result = await step(name, () => sync(source, url, { delete: true, trust: { pin: publicKey } }));
      rows.push({ name, ...result });
      console.error(`  ${await check(source, destination)}`);
    };
    await run('first sync');
    await run('no change');
    mutate(source);
    await run('edits and deletes');
    console.log(`\n${table(rows)}`);
  } finally {
    if (server.connected) server.disconnect(); // it closes when its parent lets go, and then ends by itself
    const stuck = setTimeout(() => server.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(stuck);
  }
}

await requireToolchain();
await step('Installing', installDependencies);
await step('Building the addon (release; minutes when cold)', () => buildNative({ release: true }));
await step('Building the TypeScript', buildTs);
const work = mkdtempSync(join(tmpdir(), 'sparsync-quickstart-'));
try {
  await main(work);
} finally {
  if (existsSync(work)) rmSync(work, { recursive: true, force: true });
}
