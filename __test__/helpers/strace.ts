import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { type Ended, type Running, start, until } from './process.js';
import { type Client, program } from './product.js';

/** Whether strace is installed. */
export const hasStrace: boolean = spawnSync('strace', ['-V']).status === 0;

/** strace with all threads, its trace in `trace`. */
export function straced(trace: string, options: readonly string[]): string[] {
  return ['strace', '-f', '-o', trace, ...options];
}

/** Runs the command until it makes the `at`-th of these calls (names as strace takes them), at which it is killed. */
export function killedAt(
  t: ExecutionContext,
  user: Client,
  args: readonly string[],
  { calls, at }: { readonly calls: string; readonly at: number },
): Promise<Ended> {
  const inject = ['-e', `trace=${calls}`, '-e', `inject=${calls}:signal=SIGKILL:when=${at}`];
  const [strace = '', ...options] = straced('/dev/null', inject);
  return start(t, strace, [...options, process.execPath, program, ...args], { env: user.env }).ended;
}

/** Traces a process that runs already, until it is told to stop. */
export async function attach(
  t: ExecutionContext,
  pid: number,
  trace: string,
  options: readonly string[],
): Promise<{ readonly stop: () => Promise<void> }> {
  const [program = '', ...words] = straced(trace, [...options, '-p', String(pid)]);
  const running: Running = start(t, program, words);
  await until('strace', () => {
    if (running.over()) throw new Error(`strace cannot attach: ${running.stderr()}`);
    return running.stderr().includes('attached');
  });
  return {
    stop: async () => {
      running.kill('SIGINT');
      await running.ended;
    },
  };
}

/** System calls by what they are for. */
const kinds = {
  look: 'stat lstat fstat newfstatat fstatat64 statx access faccessat faccessat2 readlink readlinkat statfs fstatfs',
  open: 'open openat openat2 creat',
  list: 'getdents getdents64',
  read: 'read pread64 readv preadv preadv2 copy_file_range sendfile splice',
  write: 'write pwrite64 writev pwritev pwritev2 ftruncate truncate fallocate',
  make: 'mkdir mkdirat symlink symlinkat link linkat mknod mknodat',
  attribute:
    'chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr',
  rename: 'rename renameat renameat2',
  remove: 'unlink unlinkat rmdir',
  flush: 'fsync fdatasync syncfs sync sync_file_range',
  close: 'close',
  other:
    'fcntl flock lseek dup dup2 dup3 fadvise64 ioctl fchdir chdir getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr',
} as const;

export type CallKind = keyof typeof kinds;

/** What carries datagrams. */
const network = new Set(['sendmsg', 'sendmmsg', 'sendto', 'recvmsg', 'recvmmsg', 'recvfrom']);

const kindOf = new Map<string, CallKind>();
for (const kind of Object.keys(kinds) as CallKind[]) for (const call of kinds[kind].split(' ')) kindOf.set(call, kind);

/** What {@link countCalls} needs to see: descriptors with their paths, and no content. */
export const countable: readonly string[] = ['-y', '-s', '0', '-e', 'trace=%file,%desc,%network'];

export interface Calls extends Readonly<Record<CallKind, number>> {
  /** Calls of any kind at or below the tree. */
  readonly total: number;
  /** Calls of these kinds elsewhere in the file system. */
  readonly elsewhere: number;
  /** Datagrams sent and received, in calls. */
  readonly network: number;
}

/** Counts the calls of a trace that was made as {@link countable} says, for the tree at `root`. */
export function countCalls(trace: string, root: string): Calls {
  const counts = new Map<string, number>();
  const add = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  const marks = [`<${root}>`, `<${root}/`, `"${root}"`, `"${root}/`];
  for (const line of readFileSync(trace, 'latin1').split('\n')) {
    // A call that another thread interrupts has a second line without a name in this place.
    const call = /^\d+ +([a-z0-9_]+)\(/.exec(line)?.[1];
    if (call === undefined || call === 'execve') continue;
    const kind = kindOf.get(call);
    if (marks.some((mark) => line.includes(mark))) {
      add('total');
      add(kind ?? 'other');
    } else if (network.has(call)) add('network');
    // Threads wake one another through descriptors that belong to no file.
    else if (kind !== undefined && !/\(\d+<(anon_inode|pipe|socket|UDP)/.test(line)) add('elsewhere');
  }
  const of = (what: string): number => counts.get(what) ?? 0;
  const byKind = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, of(kind)])) as Record<CallKind, number>;
  return { ...byKind, total: of('total'), elsewhere: of('elsewhere'), network: of('network') };
}
