import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, truncateSync, writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { isRoot } from './setup.js';

/** Whether block devices can be made of files here. */
export const canLoop: boolean = isRoot && spawnSync('losetup', ['--find']).status === 0;

/** A block device that holds so many bytes, until the test is over. */
export function loopDevice(t: ExecutionContext, image: string, bytes: number): string {
  writeFileSync(image, '');
  truncateSync(image, bytes);
  const device = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
  t.teardown(() => spawnSync('losetup', ['--detach', device]));
  return device;
}

/** A node of the same device at another path. */
export function nodeOf(device: string, path: string): void {
  const { rdev } = lstatSync(device);
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xff_ff_ff_00);
  execFileSync('mknod', ['-m', '644', path, 'b', String((rdev >>> 8) & 0xfff), String(minor)]);
}
