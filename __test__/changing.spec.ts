// A file that never rests while it is read, such as a log: refused as a mix, or taken as it was when it was opened.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import test from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import { start } from './helpers/process.js';
import { Random } from './helpers/random.js';
import { setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';

/** Adds to a file without a rest. */
const WRITER = `
const fs = require('node:fs');
const file = fs.openSync(process.argv[1], 'a');
let count = 0;
(function write() {
  fs.writeSync(file, 'line ' + (count += 1) + '\\n');
  if (count === 1) process.stdout.write('writes');
  setImmediate(write);
})();
`;

/** Starts a program that adds to a file until it is stopped, and waits for the first line. */
async function growing(t: ExecutionContext, path: string): Promise<() => Promise<void>> {
  const writer = start(t, process.execPath, ['-e', WRITER, path]);
  await new Promise((resolve) => writer.child.stdout?.once('data', resolve));
  return async () => {
    writer.kill('SIGKILL');
    await writer.ended;
  };
}

for (const way of ['local', 'push', 'pull'] as const) {
  test(`a file that grows all the time arrives as it was when it was opened, and the rest later (${way})`, async (t) => {
    const { work, served, url, client } = await setup(t);
    const source = dir(way === 'pull' ? served : work, 'source');
    const target = dir(way === 'push' ? served : work, 'target');
    writeFileSync(`${source}/log`, new Random(t.title).bytes(3_000_000));
    const ends = [
      way === 'pull' ? `${url('source')}/` : `${source}/`,
      way === 'push' ? `${url('target')}/` : `${target}/`,
    ];
    const stop = await growing(t, `${source}/log`);
    // Without a state of it in the destination, and over an older one.
    for (const state of ['none', 'older']) {
      const { code, stderr } = await cli(t, client, ['-a', '--changing=prefix', ...ends]);
      t.is(code, exit.ok, stderr);
      const arrived = readFileSync(`${target}/log`);
      t.true(readFileSync(`${source}/log`).subarray(0, arrived.length).equals(arrived), state);
      // It may have rested for as long as the run took.
      if (stderr !== '')
        t.is(stderr, `warning: log: it grew while it was read: its first ${arrived.length} bytes arrived\n`);
    }
    await stop();
    await quietly(t, client, ['-a', '--changing=prefix', ...ends]);
    t.true(readFileSync(`${source}/log`).equals(readFileSync(`${target}/log`)));
  });
}

test('what grew stays at the source, where it was to be removed', async (t) => {
  const { work, client } = await setup(t);
  const [source, target] = [dir(work, 'source'), dir(work, 'target')];
  writeFileSync(`${source}/log`, new Random(t.title).bytes(3_000_000));
  const stop = await growing(t, `${source}/log`);
  const flags = ['-a', '--changing=prefix', '--remove-source-files'];
  const { stderr } = await cli(t, client, [...flags, `${source}/`, `${target}/`]);
  await stop();
  const arrived = readFileSync(`${target}/log`);
  // One that rested for as long as the run took was complete, and is removed.
  if (stderr === '' && !existsSync(`${source}/log`)) t.true(arrived.length >= 3_000_000);
  else t.true(readFileSync(`${source}/log`).subarray(0, arrived.length).equals(arrived), stderr);
});
