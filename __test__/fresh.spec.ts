// A large file that was written just before: a file system that allocates late (ext4, xfs) changes how it looks while it
// is read, and its content is the same.
import { closeSync, fsyncSync, openSync, statfsSync, statSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

import { sync } from '../dist/index.js';
import { assertEqual, judged } from './helpers/judge.js';
import { Random } from './helpers/random.js';
import { scaled, setup } from './helpers/setup.js';
import { diskDir } from './helpers/temp.js';

const mebibyte = 1 << 20;

/** A hole of one page behind each mebibyte makes so many pieces that the inode has no room for their places. */
const hole = 4096;

/** Kinds of file system as `statfs` tells them: tmpfs and ramfs. */
const inMemory: readonly number[] = [0x01021994, 0x858458f6];

/** Writes a file and leaves it open, none of it flushed. */
function write(path: string, mebibytes: number, random: Random): number {
  const file = openSync(path, 'w');
  const piece = random.bytes(mebibyte);
  for (let i = 0; i < mebibytes; i += 1) {
    piece.writeUInt32LE(i);
    writeSync(file, piece, 0, mebibyte, i * (mebibyte + hole));
  }
  return file;
}

// Seen red with the count of blocks among what tells that a file changed.
judged('a large file that was written just before is sent once', async (t) => {
  t.timeout(scaled(120_000, 600_000));
  const { served, access, url } = await setup(t);
  const source = diskDir(t);
  if (inMemory.includes(statfsSync(source).type)) t.log(`${source} is in memory: nothing there is allocated late`);
  const data = scaled(64, 600) * mebibyte;
  const file = write(`${source}/fresh`, data / mebibyte, new Random(t.title));
  const { size, blocks } = statSync(`${source}/fresh`);

  const job = sync(source, url('tree'), access);
  let over = false;
  const watched = (async () => {
    for await (const event of job) {
      if (event.type !== 'progress') continue;
      const { bytesTransferred, bytesReused, bytesToTransfer } = event.stats;
      const moved = bytesTransferred + bytesReused;
      t.true(bytesToTransfer === undefined || moved <= bytesToTransfer, `${moved} of ${bytesToTransfer}`);
    }
    over = true;
  })();
  while (job.stats().bytesTransferred === 0 && !over) await setImmediate();
  // What has no place yet gets one now, in the middle of the file.
  fsyncSync(file);
  const early = job.stats().bytesTransferred;
  t.log(`${early} of ${data} bytes had moved when ${blocks} blocks became ${statSync(`${source}/fresh`).blocks}`);
  await watched;
  const { stats } = await job;
  closeSync(file);
  t.log(`${stats.bytesTransferred} bytes transferred of ${data}`);
  // A hole does not travel, and counts as there already.
  t.deepEqual([stats.bytesTransferred, stats.bytesReused], [data, size - data]);
  t.deepEqual([stats.bytesToTransfer, stats.bytesTotal], [size, size]);
  assertEqual(t, source, `${served}/tree`);
});
