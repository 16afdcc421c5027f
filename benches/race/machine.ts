// What the figures were measured on.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { fileSystemOf } from './links.js';
import { atEnd, mustRun, run } from './processes.js';

export interface Machine {
  cpu: string;
  cores: number;
  memoryGib: number;
  kernel: string;
  versions: Record<string, string>;
}

async function firstLine(program: string, args: string[]): Promise<string> {
  try {
    const { code, stdout, stderr } = await run(program, args);
    return code === 0 || stderr !== '' ? ((stdout || stderr).split('\n')[0]?.trim() ?? '') : 'not installed';
  } catch {
    return 'not installed';
  }
}

/** Describes this machine and the programs that take part. */
export async function describeMachine(root: string): Promise<Machine> {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const commit = (await run('git', ['-C', root, 'rev-parse', '--short', 'HEAD'])).stdout.trim();
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    versions: {
      'sparsync-native': commit === '' ? version : `${version} (${commit})`,
      node: process.version,
      rustc: await firstLine('rustc', ['--version']),
      rsync: (await firstLine('rsync', ['--version'])).replace(/\s+/g, ' '),
      ssh: await firstLine('ssh', ['-V']),
      cp: await firstLine('cp', ['--version']),
      tar: await firstLine('tar', ['--version']),
    },
  };
}

/** How long the machine is watched. */
const WATCH_MS = 1500;

/** How many cores others keep busy while the harness does nothing. Figures taken meanwhile are worth little. */
export async function coresBusyWithOthers(): Promise<number> {
  const ticks = (): { idle: number; all: number } => {
    const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
    const fields = line.trim().split(/\s+/).slice(1, 9).map(Number);
    // idle and iowait; the rest is work, a hypervisor's share included.
    return { idle: (fields[3] ?? 0) + (fields[4] ?? 0), all: fields.reduce((sum, field) => sum + field, 0) };
  };
  const before = ticks();
  await sleep(WATCH_MS);
  const after = ticks();
  const all = after.all - before.all;
  return all === 0 ? 0 : (1 - (after.idle - before.idle) / all) * cpus().length;
}

/** A folder in memory that is gone at the end: below BENCH_TMPFS or /dev/shm, else on a tmpfs that root mounts. */
export async function makeTmpfsFolder(): Promise<string> {
  const base = process.env['BENCH_TMPFS'] ?? '/dev/shm';
  const isTmpfs = existsSync(base) && fileSystemOf(base) === 'tmpfs';
  const folder = mkdtempSync(join(isTmpfs ? base : tmpdir(), 'sparsync-bench-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  if (!isTmpfs) {
    if (process.getuid?.() !== 0) throw new Error(`${base} is no tmpfs: set BENCH_TMPFS to a folder in one`);
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=80%', 'tmpfs', folder]);
    atEnd(() => void spawnSync('umount', [folder]));
  }
  return folder;
}

/** A folder on a real disk that is gone at the end. */
export function makeDiskFolder(): { path: string; fileSystem: string } {
  const path = mkdtempSync(join(process.env['BENCH_DISK'] ?? tmpdir(), 'sparsync-bench-'));
  atEnd(() => rmSync(path, { recursive: true, force: true }));
  mkdirSync(join(path, 'destinations'));
  return { path, fileSystem: fileSystemOf(path) };
}

/** Free bytes where a folder is. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}
