import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

import { canMount } from './setup.js';

/** Whether a process can be given users and groups of its own, by files mounted over those of the system. */
export const canHaveAccounts: boolean = canMount;

/** Users and groups of a machine that is made up: names and numbers. */
export interface Accounts {
  readonly users: Readonly<Record<string, number>>;
  readonly groups: Readonly<Record<string, number>>;
}

/** A view of its own holds every disk that another test has mounted meanwhile, which that test could never take away. */
export const FORGET = `awk '$1 ~ "^/dev/loop|^powercut$" { print $2 }' /proc/mounts | xargs --no-run-if-empty umount --lazy`;
const SCRIPT = `${FORGET}; mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"`;

/**
 * The words that stand before a command which is to run on the machine with these users and groups. Only the command's own
 * view of the file system changes.
 */
export function onMachine(folder: string, name: string, { users, groups }: Accounts): string[] {
  const [passwd, group] = [`${folder}/${name}.passwd`, `${folder}/${name}.group`];
  const lines = (all: Readonly<Record<string, number>>, line: (name: string, id: number) => string): string =>
    Object.entries(all)
      .map(([each, id]) => `${line(each, id)}\n`)
      .join('');
  writeFileSync(
    passwd,
    lines(users, (each, id) => `${each}:x:${id}:${id}::/:/bin/sh`),
  );
  writeFileSync(
    group,
    lines(groups, (each, id) => `${each}:x:${id}:`),
  );
  return ['unshare', '-m', 'sh', '-c', SCRIPT, 'machine', passwd, group];
}

/** Writes a remote shell for rsync that runs the other end on such a machine, and gives its path. */
export function remoteShell(folder: string, machine: readonly string[]): string {
  const path = `${folder}/remote-shell`;
  const quoted = machine.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  writeFileSync(path, `#!/bin/sh\nshift\nexec ${quoted} sh -c "$*"\n`, { mode: 0o755 });
  return path;
}

/** Runs a command to its end. */
export function ranOn(
  machine: readonly string[],
  command: readonly string[],
): { status: number | null; stderr: string } {
  const [first = '', ...rest] = [...machine, ...command];
  const { status, stderr } = spawnSync(first, rest, { encoding: 'utf8' });
  return { status, stderr };
}
