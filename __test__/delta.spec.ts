// What goes over the wire of a large file that changed, beside what rsync sends of it.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';

import { connect } from '../dist/index.js';
import { judged } from './helpers/judge.js';
import { Random } from './helpers/random.js';
import { scaled, setup } from './helpers/setup.js';

const MEBIBYTE = 1 << 20;

/** The bytes of the file; the changes are as many to a byte of it as the promise has them for 1 GiB. */
const BYTES = scaled(128, 1024) * MEBIBYTE;

/** How the file changes. */
const CHANGES: Readonly<Record<string, (old: Buffer, random: Random) => Buffer>> = {
  '8 KB inserted': (old, random) => {
    const at = Math.floor(old.length / 3) + 1001;
    return Buffer.concat([old.subarray(0, at), random.bytes(8000), old.subarray(at)]);
  },
  'edits of 4 KiB all over': (old, random) => {
    const edited = Buffer.from(old);
    for (let count = 0; count < (1000 * BYTES) / (1024 * MEBIBYTE); count += 1) {
      edited.set(random.bytes(4096), random.below(old.length - 4096));
    }
    return edited;
  },
  'a hundredth appended': (old, random) => Buffer.concat([old, random.bytes(Math.floor(old.length / 102))]),
  'parts of 16 MiB in another order': (old, random) => {
    const count = old.length / (16 * MEBIBYTE);
    const left = Array.from({ length: count }, (_, at) => at * 16 * MEBIBYTE);
    const order = Array.from({ length: count }, () => left.splice(random.below(left.length), 1)[0] ?? 0);
    return Buffer.concat(order.map((at) => old.subarray(at, at + 16 * MEBIBYTE)));
  },
};

judged('a large file that changed costs no more bytes than with rsync, to a server and from it', async (t) => {
  t.timeout(600_000);
  const { work, served, url, access } = await setup(t);
  const random = new Random(t.title);
  const old = random.bytes(BYTES);
  const connection = await connect(url(), access);
  // Whether it pays on this machine now is not what is asked here.
  const options = { compare: 'none', wholeFile: false } as const;
  t.teardown(() => connection.close());
  for (const [change, made] of Object.entries(CHANGES)) {
    const content = made(old, random);
    writeFileSync(`${work}/new`, content);
    for (const name of ['theirs', 'pulled']) writeFileSync(`${work}/${name}`, old);
    writeFileSync(`${served}/pushed`, old);
    const said = spawnSync('rsync', ['-I', '--no-whole-file', '--stats', '--no-h', `${work}/new`, `${work}/theirs`], {
      encoding: 'utf8',
    }).stdout;
    const [sent = 0, received = 0] = ['sent', 'received'].map((way) =>
      Number(new RegExp(`^Total bytes ${way}: (\\d+)$`, 'm').exec(said)?.[1]),
    );
    const theirs = sent + received;
    copyFileSync(`${work}/new`, `${served}/new`);
    for (const way of ['push', 'pull'] as const) {
      const { stats } =
        way === 'push'
          ? await connection.push(`${work}/new`, 'pushed', options)
          : await connection.pull('new', `${work}/pulled`, options);
      t.true(readFileSync(way === 'push' ? `${served}/pushed` : `${work}/pulled`).equals(content));
      const ours = stats.bytesSent + stats.bytesReceived;
      t.log(`${way}, ${change}: ${ours} bytes, ${(ours / theirs).toFixed(3)} of rsync's ${theirs}`);
      t.true(ours <= theirs, `${way}, ${change}: ${ours} bytes, and rsync ${theirs}`);
    }
  }
});
