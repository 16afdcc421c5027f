// What devices hold: --copy-devices and --write-devices, as with rsync.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';

import { sync } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { judged, judgedWhere, rsync } from './helpers/judge.js';
import { canLoop, loopDevice, nodeOf } from './helpers/loop.js';
import { Random } from './helpers/random.js';
import { codeOf, rejection, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';

const MIB = 1 << 20;

/** Whether a file system can be made on a block device here, and be mounted. */
const canMountDisks =
  canLoop &&
  spawnSync('mkfs.ext2', ['-V']).status === 0 &&
  /^\text[24]$/m.test(readFileSync('/proc/filesystems', 'utf8'));

judgedWhere(canLoop)('devices of the source arrive as files of what they hold', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const source = dir(served, 'source');
  const held = new Random(t.title).bytes(MIB);
  const device = loopDevice(t, `${work}/image`, MIB);
  writeFileSync(device, held, { flag: 'r+' });
  nodeOf(device, `${source}/block`);
  chownSync(`${source}/block`, 1000, 1001);
  chmodSync(`${source}/block`, 0o640);
  spawnSync('mknod', [`${source}/zero`, 'c', '1', '5']);
  writeFileSync(`${source}/f`, 'content');
  for (const name of ['block', 'zero', '.']) utimesSync(`${source}/${name}`, 1_400_000_000, 1_400_000_000);
  const places = ['judge', 'here', 'pulled'].map((name) => `${work}/${name}`).concat(`${served}/pushed`);
  for (const round of ['first', 'again']) {
    // What is written to a device need not change the time of its entry: what arrives is as of now, and is looked at each time.
    if (round === 'again') for (const place of places) utimesSync(`${place}/block`, 1_500_000_000, 1_500_000_000);
    if (round === 'again') for (const place of places) utimesSync(`${place}/zero`, 1_500_000_000, 1_500_000_000);
    const judge = rsync('-ai', '--copy-devices', `${source}/`, `${work}/judge/`).replace(/^created .*\n/, '');
    for (const [from, to, place] of [
      [`${source}/`, `${work}/here/`, `${work}/here`],
      [`${source}/`, url('pushed/'), `${served}/pushed`],
      [url('source/'), `${work}/pulled/`, `${work}/pulled`],
    ] as const) {
      const ran = await cli(t, user, ['-ai', '--copy-devices', from, to]);
      t.deepEqual([ran.code, ran.stderr], [exit.ok, ''], `${round} ${to}`);
      const told = ran.stdout.replace(/^created .*\n/, '').replaceAll(/^<f/gm, '>f');
      t.is(told, judge, `${round} ${to}`);
      for (const name of ['block', 'zero', 'f']) {
        const [ours, theirs] = [lstatSync(`${place}/${name}`), lstatSync(`${work}/judge/${name}`)];
        t.deepEqual([ours.mode, ours.uid, ours.gid], [theirs.mode, theirs.uid, theirs.gid], `${round} ${to} ${name}`);
        t.true(Math.abs(ours.mtimeMs - theirs.mtimeMs) < 60_000, `${round} ${to} ${name}`);
      }
      t.true(readFileSync(`${place}/block`).equals(held), to);
      t.is(lstatSync(`${place}/zero`).size, 0);
    }
  }
  await quietly(t, user, ['--copy-devices', device, `${work}/single`]);
  t.true(readFileSync(`${work}/single`).equals(held));
});

/** What stands in the place of a file: how many bytes, from which seed, and its time. */
const STATES: ReadonlyArray<readonly [string, string[], number, string, number]> = [
  ['of its size', [], MIB, 'a', 1_300_000_000],
  ['nothing', [], MIB, 'a', 1_300_000_000],
  ['other content of that size and time', [], MIB, 'b', 1_300_000_000],
  ['the same, compared by content', ['-c'], MIB, 'b', 1_300_000_000],
  ['again', ['-c'], MIB, 'b', 1_300_000_000],
  ['shorter', [], MIB / 2, 'c', 1_310_000_000],
  ['small', [], 100, 'd', 1_320_000_000],
  ['in a dry run', ['-n'], MIB, 'e', 1_330_000_000],
  ['whole', ['-W'], MIB, 'e', 1_330_000_000],
  ['with zeros', ['-S'], MIB, '0', 1_340_000_000],
];

judgedWhere(canLoop)('content goes to the device that has the place of a file, locally and at a server', async (t) => {
  const { work, served, url, access, client: user } = await setup(t);
  const source = dir(work, 'source');
  const ways = [
    ['judge', `${work}/judge`, ''],
    ['here', `${work}/here`, `${work}/here/`],
    ['pushed', `${served}/pushed`, url('pushed/')],
    ['pulled', `${work}/pulled`, ''],
  ] as const;
  mkdirSync(`${served}/source`);
  for (const [name, place] of ways) {
    mkdirSync(place);
    nodeOf(loopDevice(t, `${work}/${name}.img`, MIB), `${place}/x`);
    writeFileSync(`${place}/x`, Buffer.alloc(MIB, 'old'), { flag: 'r+' });
  }
  for (const [what, flags, bytes, seed, time] of STATES) {
    const content = new Random(`${t.title} ${seed}`).bytes(bytes);
    if (seed === '0') content.fill(0, 1000, 600_000);
    for (const tree of [source, `${served}/source`]) {
      writeFileSync(`${tree}/x`, content);
      for (const name of ['x', '.']) utimesSync(`${tree}/${name}`, time, time);
    }
    const args = ['-ai', '--write-devices', ...flags];
    // With -S rsync asks for holes that a device does not make.
    const judge = rsync(...args.filter((flag) => flag !== '-S'), `${source}/`, `${work}/judge/`);
    for (const [name, place, to] of ways.slice(1)) {
      const ends = name === 'pulled' ? [url('source/'), `${place}/`] : [`${source}/`, to];
      const ran = await cli(t, user, [...args, ...ends]);
      t.deepEqual([ran.code, ran.stderr], [exit.ok, ''], `${what}, ${name}`);
      t.is(ran.stdout.replaceAll(/^<f/gm, '>f'), judge, `${what}, ${name}`);
      const found = lstatSync(`${place}/x`);
      t.true(found.isBlockDevice());
      t.is(
        Math.trunc(found.mtimeMs / 1000),
        Math.trunc(lstatSync(`${work}/judge/x`).mtimeMs / 1000),
        `${what}, ${name}`,
      );
      t.true(readFileSync(`${place}/x`).equals(readFileSync(`${work}/judge/x`)), `${what}, ${name}`);
    }
  }
  // What is right already does not travel.
  const changed = readFileSync(`${work}/here/x`);
  changed.fill('y', 500_000, 500_100);
  writeFileSync(`${source}/x`, changed);
  const { stats } = await sync(source, url('pushed'), { ...access, writeDevices: true, compression: 'never' });
  t.true(readFileSync(`${served}/pushed/x`).equals(changed));
  t.true(stats.bytesTransferred < MIB / 2, `${stats.bytesTransferred}`);
  // More than it holds.
  writeFileSync(`${source}/x`, Buffer.alloc(MIB + 4096, 'z'));
  const ran = await cli(t, user, ['-a', '--write-devices', `${source}/x`, `${work}/here/x`]);
  t.not(ran.code, exit.ok);
  t.regex(ran.stderr, /No space left/);
  t.is((await cli(t, user, ['-a', `${source}/x`, `${work}/here/x`])).code, exit.ok);
  t.true(lstatSync(`${work}/here/x`).isFile(), 'without the option a file takes its place');
});

judgedWhere(canMountDisks)('a device that is mounted is not written to', async (t) => {
  const { work, client: user } = await setup(t);
  const device = loopDevice(t, `${work}/image`, 4 * MIB);
  const top = dir(work, 'mounted');
  execFileSync('mkfs.ext2', ['-q', device]);
  execFileSync('mount', [device, top]);
  t.teardown(() => spawnSync('umount', ['-l', top]));
  writeFileSync(`${work}/f`, Buffer.alloc(MIB, 'x'));
  const ran = await cli(t, user, ['--write-devices', `${work}/f`, device]);
  t.is(ran.code, exit.partial);
  t.regex(ran.stderr, /busy/i);
  t.is(readFileSync(device).indexOf('xxxxxxxx'), -1);
});

judged('devices are read and written by keys with the rights, and nothing is kept of them', async (t) => {
  const { work, served, url, client: user } = await setup(t, { rights: 'read,write,delete,owner' });
  for (const tree of [work, served]) {
    mkdirSync(`${tree}/s`);
    writeFileSync(`${tree}/s/f`, 'content');
  }
  const special = /"special"/;
  for (const [flag, ...ends] of [
    ['--copy-devices', url('s/'), `${work}/d/`],
    ['--write-devices', `${work}/s/`, url('d/')],
  ] as const) {
    const ran = await cli(t, user, ['-a', flag, ...ends]);
    t.is(ran.code, exit.unauthorized, flag);
    t.regex(ran.stderr, special);
  }
  const adds = await setup(t, { rights: 'read,append,special' });
  const ran = await cli(t, adds.client, ['-a', '--write-devices', `${work}/s/`, adds.url('d/')]);
  t.is(ran.code, exit.unauthorized);
  for (const other of [{ backup: true }, { inplace: false }]) {
    const refused = sync(`${work}/s`, `${work}/d`, { writeDevices: true, ...other });
    t.is(codeOf(await rejection(t, refused)), 'ERR_SPARSYNC_CONFIG');
  }
});
