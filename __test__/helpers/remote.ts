import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { dir } from './temp.js';

const top = fileURLToPath(new URL('../..', import.meta.url));

const built = readdirSync(top).find((name) => name.startsWith('sparsync-remote.'));

if (built === undefined) throw new Error("sparsync-remote is missing: run 'npm run build' first");

/** The executable of the other end, as the build leaves it. */
export const remote = `${top}${built}`;

/** What stands in for ssh: it starts the command on this machine, by a shell, from another home folder. */
export interface Stub {
  /** For `-e`. */
  readonly shell: string;
  /** The home folder of the other end. */
  readonly home: string;
  /** The words that it was given, those of each call in a line. */
  readonly calls: () => string[];
  /** The processes that it has started. */
  readonly pids: () => number[];
  /** The environment that it needs. */
  readonly env: Readonly<Record<string, string>>;
}

/** Makes one below `work`. */
export function stubShell(work: string): Stub {
  const home = dir(work, 'home');
  const bin = dir(work, 'bin');
  symlinkSync(remote, `${bin}/sparsync-remote`);
  const shell = `${work}/shell`;
  const text = `#!/bin/sh
echo "$*" >> '${work}/calls'
while [ "$1" = -l ]; do shift 2; done
shift
echo $$ >> '${work}/pids'
cd '${home}' || exit 9
PATH='${bin}':"$PATH" HOME='${home}'
export PATH HOME
exec sh -c "exec $*"
`;
  writeFileSync(shell, text, { mode: 0o755 });
  const linesOf = (file: string): string[] =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
      : [];
  return {
    shell,
    home,
    calls: () => linesOf(`${work}/calls`),
    pids: () => linesOf(`${work}/pids`).map(Number),
    env: { RSYNC_RSH: shell },
  };
}

/** Whether a process is there, and is no zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}
