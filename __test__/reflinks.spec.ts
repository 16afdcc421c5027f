// What is alike becomes a clone, which shares blocks and is a file of its own: --reflink-dest, and snapshots with it.
import { chmodSync, lstatSync, readFileSync, readdirSync, statfsSync, writeFileSync } from 'node:fs';

import { sync } from '../dist/index.js';
import { copied, make } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { assertEqual, judged, judgedWhere } from './helpers/judge.js';
import { Random } from './helpers/random.js';
import { codeOf, rejection, setup } from './helpers/setup.js';
import { canShare, mountSharing } from './helpers/sharing.js';

const MIB = 1 << 20;

/** What the file system at a path has given away. */
function used(path: string): number {
  const { blocks, bfree, bsize } = statfsSync(path);
  return (blocks - bfree) * bsize;
}

judgedWhere(canShare)('what is alike shares its blocks, and is a file with attributes of its own', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  mountSharing(t, `${served}/x`);
  const random = new Random(t.title);
  make(work, { 's/small': 'small', 's/l': '-> small', 's/sub/new': 'new' });
  for (const name of ['big', 'mode']) writeFileSync(`${work}/s/${name}`, random.bytes(16 * MIB));
  copied(`${work}/s`, `${served}/x/old`);
  chmodSync(`${work}/s/mode`, 0o600);
  writeFileSync(`${work}/s/sub/new`, 'newer');
  for (const [to, place] of [
    [`${served}/x/here`, `${served}/x/here`],
    [url('x/pushed'), `${served}/x/pushed`],
  ] as const) {
    const before = used(`${served}/x`);
    const ran = await cli(t, user, ['-a', '--reflink-dest=../old', '--stats', `${work}/s/`, to]);
    t.deepEqual([ran.code, ran.stderr], [exit.ok, ''], to);
    t.regex(ran.stdout, /files transferred:\s+1$/m);
    assertEqual(t, `${work}/s`, place);
    t.true(used(`${served}/x`) - before < 4 * MIB, `${to}: ${used(`${served}/x`) - before}`);
    for (const name of ['small', 'big', 'mode']) {
      const [one, other] = [lstatSync(`${place}/${name}`), lstatSync(`${served}/x/old/${name}`)];
      t.deepEqual([one.nlink, other.nlink], [1, 1], name);
      t.not(one.ino, other.ino);
    }
    t.is(lstatSync(`${served}/x/old/mode`).mode & 0o777, 0o644);
    // Content that is there and is not right is replaced by a clone, and does not travel.
    writeFileSync(`${place}/big`, 'other');
    const again = await cli(t, user, ['-a', '--reflink-dest=../old', '--stats', `${work}/s/`, to]);
    t.regex(again.stdout, /files transferred:\s+0$/m);
    assertEqual(t, `${work}/s`, place);
  }
});

judged('where blocks cannot be shared what is alike is copied, which is told once', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/a': 'a', 's/sub/b': 'bb', 's/empty': '' });
  copied(`${work}/s`, `${served}/old`);
  const ran = await cli(t, user, ['-a', '--reflink-dest=../old', '--stats', `${work}/s/`, url('new')]);
  t.is(ran.code, exit.ok);
  t.regex(ran.stderr, /^warning: equal files are copied, not cloned: .*\n$/);
  t.regex(ran.stdout, /files transferred:\s+0$/m);
  assertEqual(t, `${work}/s`, `${served}/new`);
  const other = await cli(t, user, ['-a', '--reflink-dest=../old', '--link-dest=../old', `${work}/s/`, url('new')]);
  t.deepEqual([other.code, other.stdout], [exit.usage, '']);
  const unread = await setup(t, { rights: 'write,delete' });
  make(unread.served, { 'old/a': 'a' });
  const refused = sync(`${work}/s`, unread.url('d'), { ...unread.access, reflinkDest: '../old' });
  t.is(codeOf(await rejection(t, refused)), 'ERR_SPARSYNC_SCOPE');
});

judgedWhere(canShare)('a snapshot of reflinks shares blocks with the one before, and no inode', async (t) => {
  const { work, served, url, access, client: user } = await setup(t);
  mountSharing(t, `${served}/x`);
  make(work, { 's/small': 'small' });
  writeFileSync(`${work}/s/big`, new Random(t.title).bytes(16 * MIB));
  await sync(`${work}/s`, url('x/series'), { ...access, snapshot: { reflink: true } });
  const before = used(`${served}/x`);
  const ran = await cli(t, user, ['-a', '--snapshot', '--snapshot-reflinks', `${work}/s/`, url('x/series')]);
  t.is(ran.code, exit.ok, ran.stderr);
  t.true(used(`${served}/x`) - before < 4 * MIB);
  const made = readdirSync(`${served}/x/series`);
  t.is(made.length, 2);
  for (const name of ['small', 'big']) {
    const [one, other] = made.map((moment) => `${served}/x/series/${moment}/${name}`) as [string, string];
    t.not(lstatSync(one).ino, lstatSync(other).ino);
    t.true(readFileSync(one).equals(readFileSync(other)));
  }
  const alone = await cli(t, user, ['-a', '--snapshot-reflinks', `${work}/s/`, url('x/y')]);
  t.is(alone.code, exit.usage);
});
