import { spawnSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { canMount } from './setup.js';

/** What it takes to make a file system that shares blocks. */
export const canShare: boolean =
  canMount &&
  spawnSync('sh', ['-c', 'command -v mkfs.xfs && losetup --find && grep -w xfs /proc/filesystems']).status === 0;

/** Mounts a file system that shares blocks. */
export function mountSharing(t: ExecutionContext, path: string): void {
  const image = `${path}.img`;
  writeFileSync(image, '');
  truncateSync(image, 320 << 20);
  mkdirSync(path);
  for (const [command, ...args] of [
    ['mkfs.xfs', '-q', image],
    ['mount', '-o', 'loop', image, path],
  ] as const) {
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command}: ${stderr}`);
  }
  t.teardown(() => spawnSync('umount', ['-l', path]));
}
