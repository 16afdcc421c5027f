import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

import type { CertifiedTree } from './certified.js';
import { rsync } from './judge.js';
import type { Ended } from './process.js';

/** What a system call fails with, as strace and as the C library spell it. */
export const errors = {
  EIO: 'Input/output error',
  ENOSPC: 'No space left on device',
  EMFILE: 'Too many open files',
} as const;

export type ErrorName = keyof typeof errors;

/**
 * The system calls that are made to fail. Not among them: what cannot fail so in life (futex, clocks, memory that is
 * given back, threads), what Node waits in (epoll, poll, eventfd), whose failure ends Node itself and says nothing about
 * this package, and `close`, which an injection leaves undone: a lock would stay. The storage in memory fails that.
 */
export const failing: readonly string[] =
  'openat openat2 statx newfstatat fstat statfs fstatfs getdents64 readlinkat lseek flock fcntl read pread64 readv pwrite64 writev ftruncate fallocate copy_file_range mkdir mkdirat symlinkat linkat mknodat renameat renameat2 rename unlink unlinkat utimensat fchmod fchmodat fchmodat2 fchown fchownat fsync fdatasync syncfs fgetxattr flistxattr fsetxattr fremovexattr socket bind setsockopt getsockname sendmsg sendmmsg sendto recvmsg recvmmsg'.split(
    ' ',
  );

/** One call of a trace. */
export interface Call {
  readonly thread: string;
  readonly name: string;
  readonly text: string;
  readonly injected: boolean;
}

/** The calls of a trace that was made with `-f -y`, those that another thread interrupted put together again. */
export function calls(trace: string): Call[] {
  if (!existsSync(trace)) return [];
  const out: Call[] = [];
  const begun = new Map<string, string>();
  for (const line of readFileSync(trace, 'latin1').split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const start = / <unfinished \.\.\.>$/.exec(rest);
    if (start !== null) {
      begun.set(thread, line.slice(0, -start[0].length));
      continue;
    }
    const resumed = /^<\.\.\. [a-z0-9_]+ resumed>(.*)$/.exec(rest);
    const text = resumed === null ? line : `${begun.get(thread) ?? ''}${resumed[1] ?? ''}`;
    const name = /^\d+ +([a-z0-9_]+)\(/.exec(text)?.[1];
    if (name !== undefined) out.push({ thread, name, text, injected: text.endsWith('(INJECTED)') });
  }
  return out;
}

/**
 * A place in a trace at which a call can be made to fail: strace counts the calls of each name in each thread by
 * itself.
 */
export interface Place {
  readonly call: string;
  readonly when: number;
}

/** Whether a call concerns one of some folders, or the network, and is not one that Node makes for itself. */
export function isOurs({ text }: Pick<Call, 'text'>, folders: readonly string[]): boolean {
  return folders.some((folder) => text.includes(folder)) || /<UDP|AF_INET/.test(text);
}

/** The places in a trace where a call concerns one of some folders, or the network. */
export function places(trace: string, folders: readonly string[]): Place[] {
  const seen = new Map<string, number>();
  const found = new Map<string, Place>();
  for (const { thread, name, text } of calls(trace)) {
    const key = `${thread} ${name}`;
    const when = (seen.get(key) ?? 0) + 1;
    seen.set(key, when);
    if (failing.includes(name) && isOurs({ text }, folders)) found.set(`${name} ${when}`, { call: name, when });
  }
  return [...found.values()];
}

/** What a failed call was about. */
export interface Concern {
  /** Paths below the tree: each of them, and what is below it, may be missing. */
  readonly paths: ReadonlySet<string>;
  /** For each directory so many entries of it, whichever: its temporary files do not tell what they will be. */
  readonly entries: ReadonlyMap<string, number>;
  /** Whether a call failed that is about more than one path: the root itself, the network, the state, a flush of all. */
  readonly wide: boolean;
}

/** What the injected failures of a trace are about, for trees at some roots. */
export function concern(trace: string, roots: readonly string[]): Concern {
  const paths = new Set<string>();
  const entries = new Map<string, number>();
  let wide = false;
  for (const { name, text, injected } of calls(trace)) {
    if (!injected) continue;
    const held = /\(\d+<([^>]*)>/.exec(text)?.[1]?.replace(/ \(deleted\)$/, '') ?? '';
    // What is read or written is no name.
    const named = /^p?(read|write)/.test(name) ? undefined : /"((?:[^"\\]|\\.)*)"/.exec(text)?.[1];
    const full = named === undefined ? held : named.startsWith('/') ? named : `${held}/${named}`;
    const root = roots.find((r) => full.startsWith(`${r}/`));
    const path = root === undefined ? '' : full.slice(root.length + 1).replace(/\/\.?$/, '');
    if (root === undefined || path === '' || path === '.' || name === 'syncfs') {
      wide = true;
      continue;
    }
    const slash = path.lastIndexOf('/');
    const directory = slash === -1 ? '' : path.slice(0, slash);
    if (path.slice(slash + 1).startsWith('.sps-')) entries.set(directory, (entries.get(directory) ?? 0) + 1);
    else paths.add(path);
  }
  return { paths, entries, wide };
}

/** What is still to be done to make `destination` equal to `source`, path by path, deletions left out. */
export function outstanding(source: string, destination: string): string[] {
  return rsync('-ainc', '--delete', `${source}/`, `${destination}/`)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('*deleting'));
}

/** What of a faulted run there is to judge. */
export interface Outcome {
  readonly error: ErrorName;
  readonly call: string;
  readonly ended: Ended;
  readonly concern: Concern;
  readonly tree: CertifiedTree;
  readonly source: string;
  readonly destination: string;
  /** Which versions of a file may stand at the destination, and whether none may. */
  readonly versions: readonly number[];
  readonly mayBeAbsent: boolean;
  /** Whether the failing call removes: then its temporary files may stay until the next run. */
  readonly removes: boolean;
}

/** Whether a path is excused by what failed. */
function excused(path: string, concern: Concern, left: Map<string, number>): boolean {
  for (const of of concern.paths)
    if (path === of || path.startsWith(`${of}/`) || of.startsWith(`${path}/`)) return true;
  const slash = path.lastIndexOf('/');
  const directory = slash === -1 ? '' : path.slice(0, slash);
  const entries = left.get(directory) ?? 0;
  if (entries > 0) {
    left.set(directory, entries - 1);
    return true;
  }
  // A directory in which an entry failed may lack its own last attributes.
  return concern.entries.has(path) || [...concern.entries.keys()].some((of) => of.startsWith(`${path}/`));
}

/** What is wrong with how a run ended in which calls were made to fail; nothing, when all is as it has to be. */
export function complaints(outcome: Outcome): string[] {
  const { ended, concern, tree, source, destination, error } = outcome;
  const out: string[] = [];
  const { code, stderr } = ended;
  const said = `said ${JSON.stringify(stderr.slice(0, 600))}`;
  const there = existsSync(destination);
  const missing = there ? outstanding(source, destination) : ['all'];

  if (code === null || code === 70) out.push(`a crash (${code ?? ended.signal}), ${said}`);
  if (code === 12) out.push(`a local failure as an error of the protocol, ${said}`);
  if (code === 0 && missing.length > 0) out.push(`a false success: ${missing.slice(0, 5).join('; ')}, ${said}`);
  if (there) {
    const torn = tree.torn(destination, outcome.versions, { mayBeAbsent: outcome.mayBeAbsent });
    if (torn.length > 0) out.push(`torn: ${torn.slice(0, 5).join('; ')}`);
    const left = tree.strangers(destination).filter((path) => /(^|\/)\.sps-[^/]*\.tmp$/.test(path));
    if (left.length > 0 && !outcome.removes) out.push(`left over: ${left.slice(0, 5).join('; ')}`);
  }
  if (code !== 0) {
    const names = [...concern.paths, ...concern.entries.keys()].filter((path) => path !== '');
    const named = names.some((path) => stderr.includes(path)) || stderr.includes(outcome.call);
    if (!stderr.includes(errors[error])) out.push(`the error is not told, ${said}`);
    else if (names.length > 0 && !named && !concern.entries.has(''))
      out.push(`neither path nor call is named, ${said}`);
  }
  if (code !== 0 && !concern.wide && error !== 'ENOSPC') {
    const left = new Map(concern.entries);
    const strays = missing.map((line) =>
      line
        .slice(12)
        .replace(/ -> .*$/, '')
        .replace(/\/$/, ''),
    );
    const others = strays.filter((path) => path !== '.' && !excused(path, concern, left));
    const of = `${[...concern.paths].join(', ')} ${[...concern.entries].map(([d, n]) => `${n} in ${d}/`).join(', ')}`;
    if (others.length > 0) out.push(`others are missing (the fault was at ${of}): ${others.slice(0, 5).join(', ')}`);
    if (code !== 23 && code !== 24) out.push(`exit ${code} for a fault at ${of}, ${said}`);
  }
  return out;
}

/** Makes a copy of a tree with its times. */
export function copyTree(from: string, to: string): void {
  const ran = spawnSync('cp', ['-a', from, to]);
  if (ran.status !== 0) throw new Error(ran.stderr.toString());
}
