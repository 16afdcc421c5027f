// A file that never rests while it is read, such as a log: refused as a mix, or taken as it was when it was opened.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import test from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import { start } from './helpers/process.js';
import { Random } from './helpers/random.js';
import { setup } from './helpers/setup.js';
import { canShare, mountSharing } from './helpers/sharing.js';
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
    // Without a state of it in the destination, and over an older one, until it was seen growing: it may rest for a run.
    let seen = 0;
    for (let run = 0; run < 2 || (seen === 0 && run < 20); run += 1) {
      const state = run === 0 ? 'none' : 'older';
      const { code, stderr } = await cli(t, client, ['-a', '--changing=prefix', ...ends]);
      t.is(code, exit.ok, stderr);
      const arrived = readFileSync(`${target}/log`);
      t.true(readFileSync(`${source}/log`).subarray(0, arrived.length).equals(arrived), state);
      if (stderr === '') continue;
      t.is(stderr, `warning: log: it grew while it was read: its first ${arrived.length} bytes arrived\n`);
      seen += 1;
    }
    t.true(seen > 0, 'it was never seen growing');
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

/** Writes all of a file over and over, with one letter each time. */
const REWRITER = `
const fs = require('node:fs');
const file = fs.openSync(process.argv[1], 'r+');
const all = ['a', 'b'].map((letter) => Buffer.alloc(2 << 20, letter));
let count = 0;
(function write() {
  fs.writeSync(file, all[(count += 1) % 2], 0, 2 << 20, 0);
  if (count === 1) process.stdout.write('writes');
  setImmediate(write);
})();
`;

const onSharing = canShare ? test.serial : test.serial.skip;
onSharing('a file that is written all the time arrives as it was at one moment, where it can be frozen', async (t) => {
  const { work, served, url, client } = await setup(t);
  mountSharing(t, `${served}/x`);
  const source = dir(`${served}/x`, 'source');
  mkdirSync(`${source}/sub`);
  writeFileSync(`${source}/image`, Buffer.alloc(2 << 20, 'a'));
  writeFileSync(`${source}/sub/small`, 'small');
  const writer = start(t, process.execPath, ['-e', REWRITER, `${source}/image`]);
  await new Promise((resolve) => writer.child.stdout?.once('data', resolve));
  for (const [from, to, place] of [
    [`${source}/`, `${work}/local`, `${work}/local`],
    [`${source}/`, `${served}/x/same`, `${served}/x/same`],
    [`${source}/`, url('push'), `${served}/push`],
    [`${url('x/source')}/`, `${work}/pull`, `${work}/pull`],
  ] as const) {
    const { code, stderr } = await cli(t, client, ['-a', '--snapshot-read', from, to]);
    t.is(code, exit.ok, `${to}: ${stderr}`);
    t.is(stderr, '');
    const arrived = readFileSync(`${place}/image`);
    t.true(arrived.equals(Buffer.alloc(2 << 20, arrived[0])), to);
    t.is(readFileSync(`${place}/sub/small`, 'utf8'), 'small');
  }
  writer.kill('SIGKILL');
  await writer.ended;
  // What was taken has no later time than it had then, so the next run sees the last state.
  await quietly(t, client, ['-a', '--snapshot-read', '--modify-window=-1', `${source}/`, `${work}/local`]);
  t.true(readFileSync(`${work}/local/image`).equals(readFileSync(`${source}/image`)));
});

test('where files cannot be frozen it is said once, and a root that is read-only is refused', async (t) => {
  const { work, served, url, client } = await setup(t);
  const source = dir(served, 'source');
  for (const name of ['a', 'b']) {
    mkdirSync(`${source}/${name}`);
    writeFileSync(`${source}/${name}/f`, name);
  }
  for (const [from, to, place] of [
    [`${source}/`, `${work}/local`, `${work}/local`],
    [`${source}/`, url('push'), `${served}/push`],
    [`${url('source')}/`, `${work}/pull`, `${work}/pull`],
  ] as const) {
    const { code, stderr } = await cli(t, client, ['-a', '--snapshot-read', from, to]);
    t.is(code, exit.ok, stderr);
    t.regex(stderr, /^warning: a\/f: files on its file system are read as they are[^\n]*\n$/, to);
    for (const name of ['a', 'b']) t.is(readFileSync(`${place}/${name}/f`, 'utf8'), name);
  }
  const shut = await setup(t, { args: ['--read-only'] });
  writeFileSync(`${shut.served}/f`, 'f');
  const { code, stderr } = await cli(t, shut.client, ['-a', '--snapshot-read', `${shut.url()}/`, `${work}/shut`]);
  t.not(code, exit.ok);
  t.regex(stderr, /read-only/);
});
