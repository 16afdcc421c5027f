import { readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { FORGET } from './accounts.js';
import { start, until } from './process.js';
import { dir } from './temp.js';

/**
 * What stands in for a container: namespaces of mounts and processes of its own, in which a process waits for others to be led
 * in, with a folder of its own at `/mnt`, and no program of ours.
 */
export interface Container {
  /** For `-e`: leads the words behind a name in, as `docker exec -i` does. */
  readonly enter: string;
  /** The folder `/mnt` of the container, as it is seen from here; `home` and `tmp` are in it. */
  readonly files: string;
  /** The processes that were led in and are there still. */
  readonly guests: () => number[];
}

function namespaceOf(pid: number | string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

/** The children of a process that has one thread. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Starts one for the time of a test. */
export async function startContainer(t: ExecutionContext, work: string): Promise<Container> {
  const files = dir(work, 'inside');
  for (const name of ['home', 'tmp']) dir(files, name);
  const script = `${FORGET}; mount --bind "$1" /mnt && exec sleep infinity`;
  const outer = start(t, 'unshare', [
    ...['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation=private'],
    ...['sh', '-c', script, 'container', files],
  ]);
  const first = (): number => childrenOf(outer.pid)[0] ?? 0;
  const isReady = (): boolean => {
    try {
      return readFileSync(`/proc/${first()}/comm`, 'utf8').trim() === 'sleep';
    } catch {
      return false;
    }
  };
  await until('the container', () => isReady() || outer.over());
  const pid = first();
  const namespace = namespaceOf(pid);
  if (namespace === undefined) throw new Error(outer.stderr());
  const enter = `${work}/enter`;
  const inside = 'env -i -C /mnt/home PATH=/usr/bin:/bin HOME=/mnt/home TMPDIR=/mnt/tmp';
  writeFileSync(enter, `#!/bin/sh\nshift\nexec nsenter --target ${pid} --mount --pid -- ${inside} "$@"\n`, {
    mode: 0o755,
  });
  return {
    enter,
    files,
    guests: () =>
      readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name) && Number(name) !== pid && namespaceOf(name) === namespace)
        .map(Number),
  };
}
