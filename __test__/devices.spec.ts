// Devices and sockets: made, adjusted, replaced and left out as by rsync, and at a server for a key with the right.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { cli, exit, quietly } from './helpers/cli.js';
import { thereAndBack } from './helpers/journey.js';
import { assertEqual, judged, judgedWhere, rsync } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { type Ended, start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { isRoot, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

const USER = 65_534;
const canMakeDevices =
  isRoot && spawnSync('sh', ['-c', 'd=$(mktemp -d) && mknod $d/null c 1 3; s=$?; rm -r $d; exit $s']).status === 0;

/** A socket that nobody listens on. */
function socket(path: string): void {
  const bind = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', bind, path]);
  if (!lstatSync(path).isSocket()) throw new Error(`${path} is no socket`);
}

function device(path: string, kind: 'b' | 'c', major: number, minor: number): void {
  execFileSync('mknod', ['-m', '640', path, kind, String(major), String(minor)]);
}

/** The lines about the entry `x`, as both print them. */
function told(output: string): string[] {
  return output
    .split('\n')
    .map((line) => line.replace(/ -> .*$/, ''))
    .filter((line) => line.includes('x') && !line.startsWith('*deleting') && !line.startsWith('created'));
}

judgedWhere(canMakeDevices)('each change of a device or a socket is made and itemized as by rsync', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  const x = `${source}/x`;
  const anew = (make: () => void) => (): void => {
    rmSync(x, { recursive: true, force: true });
    make();
  };
  const changes: Array<[string, () => void]> = [
    ['a device', () => device(x, 'c', 1, 3)],
    ['nothing', () => undefined],
    ['mode', () => chmodSync(x, 0o600)],
    ['owner', () => chownSync(x, 1000, 1001)],
    ['time', () => utimesSync(x, 1_000_000_000, 1_000_000_000)],
    ['another number', anew(() => device(x, 'c', 1, 5))],
    ['a large number', anew(() => device(x, 'c', 4095, 1_048_575))],
    ['a file in its place', anew(() => writeFileSync(x, 'content'))],
    ['a block device in place of a file', anew(() => device(x, 'b', 7, 200))],
    ['a directory in its place', anew(() => (mkdirSync(x), writeFileSync(`${x}/f`, 'content')))],
    ['it in place of a directory', anew(() => device(x, 'b', 7, 200))],
    ['a FIFO in its place', anew(() => execFileSync('mkfifo', [x]))],
    ['a device in place of a FIFO', anew(() => device(x, 'c', 1, 3))],
    ['a socket in its place', anew(() => socket(x))],
    ['mode of a socket', () => chmodSync(x, 0o600)],
    ['a file in place of a socket', anew(() => writeFileSync(x, 'content'))],
    ['gone', () => rmSync(x)],
  ];
  for (const [what, change] of changes) {
    change();
    // The time of the top differs with each change, and is not in question.
    utimesSync(source, 1_100_000_000, 1_100_000_000);
    for (const flags of ['-ai', '-ai --no-D', '-ai --no-devices', '-ai --no-specials']) {
      const name = flags.replaceAll(' ', '');
      const [ours, theirs] = [`${work}/ours${name}`, `${work}/theirs${name}`];
      const args = [...flags.split(' '), '--delete'];
      const ran = await cli(t, user, [...args, '--allow-mass-delete', `${source}/`, ours]);
      t.is(ran.code, exit.ok, ran.stderr);
      const judge = rsync(...args, `${source}/`, theirs);
      t.deepEqual(told(ran.stdout), told(judge), `${flags}, ${what}`);
      // rsync leaves a new device the time at which it was made, where that is in the same second as the source's.
      assertEqual(t, theirs, ours, { label: `${flags}, ${what}`, wholeSeconds: true });
    }
  }
});

judgedWhere(canMakeDevices)('a block device in place of a character device is another device', async (t) => {
  // rsync compares the numbers alone and leaves the wrong one: docs/rsync.md.
  const { work, client: user } = await setup(t);
  const [source, copy] = ['source', 'copy'].map((name) => dir(work, name)) as [string, string];
  device(`${source}/x`, 'b', 1, 3);
  device(`${copy}/x`, 'c', 1, 3);
  await cli(t, user, ['-a', `${source}/`, copy]);
  t.true(lstatSync(`${copy}/x`).isBlockDevice());
});

judgedWhere(canMakeDevices)('devices and sockets go through a server, there and back', async (t) => {
  const made = await setup(t);
  const { work, client: user } = made;
  const source = dir(work, 'source');
  mkdirSync(`${source}/sub`);
  device(`${source}/sub/block`, 'b', 259, 70_000);
  device(`${source}/char`, 'c', 1, 3);
  chownSync(`${source}/char`, 1000, 1001);
  socket(`${source}/socket`);
  await thereAndBack(t, made, source);
  await quietly(t, user, ['-a', `${source}/char`, `${work}/one`]);
  t.is(lstatSync(`${work}/one`).rdev, lstatSync(`${source}/char`).rdev);
});

judgedWhere(canMakeDevices && canBecome)('a plain user gets sockets, and is told of devices as by rsync', async (t) => {
  const work = workDir(t);
  for (const path of [dirname(work), work]) chmodSync(path, 0o755);
  const source = dir(work, 'source');
  device(`${source}/char`, 'c', 1, 3);
  chmodSync(`${source}/char`, 0o666);
  socket(`${source}/socket`);
  chmodSync(`${source}/socket`, 0o666);
  for (const name of ['ours', 'theirs', 'home']) chownSync(dir(work, name), USER, USER);
  const become = becoming(USER);
  const env = { SPARSYNC_CONFIG_DIR: `${work}/home/config`, SPARSYNC_STATE_DIR: `${work}/home/state` };
  const sorted = (output: string): string[] => output.split('\n').toSorted();
  for (const run of ['first', 'again']) {
    const args = [...become, process.execPath, program, '-a', `${source}/`, `${work}/ours`];
    const ours = await start(t, 'setpriv', args, { env }).ended;
    t.deepEqual([ours.code, ours.stderr], [exit.ok, ''], run);
    const theirs = execFileSync('setpriv', [...become, 'rsync', '-a', `${source}/`, `${work}/theirs`]);
    t.deepEqual(sorted(ours.stdout), sorted(theirs.toString()), run);
    assertEqual(t, `${work}/theirs`, `${work}/ours`, { label: run, wholeSeconds: true });
  }
});

judgedWhere(canMakeDevices && canBecome)(
  '--super tries devices as anybody, --no-super none as root: as rsync',
  async (t) => {
    const work = workDir(t);
    for (const path of [dirname(work), work]) chmodSync(path, 0o755);
    const source = dir(work, 'source');
    device(`${source}/char`, 'c', 1, 3);
    chmodSync(`${source}/char`, 0o666);
    writeFileSync(`${source}/f`, 'content');
    for (const name of ['user', 'user/home']) chownSync(dir(work, name), USER, USER);
    const become = becoming(USER);
    const env = { SPARSYNC_CONFIG_DIR: `${work}/user/home/c`, SPARSYNC_STATE_DIR: `${work}/user/home/s` };
    for (const [who, flag, code] of [
      [[], '--no-super', exit.ok],
      [[], '--super', exit.ok],
      [['setpriv', ...become], '--super', exit.partial],
      [['setpriv', ...become], '--no-super', exit.ok],
    ] as const) {
      const run = async (words: readonly string[]): Promise<Ended> => {
        const [first = '', ...rest] = [...who, ...words, '-rlptD', flag, `${source}/`];
        const place = `${work}/${who.length === 0 ? '' : 'user/'}${words.at(-1) === 'rsync' ? 'theirs' : 'ours'}${flag}`;
        return start(t, first, [...rest, place], { env }).ended;
      };
      const label = `${who.length === 0 ? 'root' : 'user'} ${flag}`;
      const [theirs, ours] = [await run(['rsync']), await run([process.execPath, program])];
      t.deepEqual([theirs.code, ours.code], [code, code], `${label}: ${theirs.stderr} ${ours.stderr}`);
      t.is(ours.stdout, theirs.stdout, label);
      const place = `${work}/${who.length === 0 ? '' : 'user/'}`;
      assertEqual(t, `${place}theirs${flag}`, `${place}ours${flag}`, { label, wholeSeconds: true });
    }
  },
);

judged('a push by a key without the right leaves devices and sockets out and names the right once', async (t) => {
  const { work, url, client: user } = await setup(t, { rights: 'read,write,delete,owner' });
  const source = dir(work, 'source');
  writeFileSync(`${source}/f`, 'content');
  socket(`${source}/one`);
  if (canMakeDevices) device(`${source}/two`, 'c', 1, 3);
  for (const run of ['first', 'again']) {
    const ended = await cli(t, user, ['-a', `${source}/`, url('tree')]);
    t.deepEqual([ended.code, ended.stdout], [exit.ok, ''], run);
    t.regex(ended.stderr, /^warning: special files are not preserved: .*"special".*\n$/, run);
  }
});
