import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { PUBLISHED_TARGETS, packageFolders } from './native.js';

/** An executable of the other end that is installed here. */
export interface RemoteProgram {
  /** The processor, as `uname -m` says it. */
  readonly machine: string;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The version of its package. */
  readonly version: string;
}

const MACHINES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** The processor of this machine, as `uname -m` says it. */
export function ownMachine(): string {
  return MACHINES[process.arch] ?? '';
}

/**
 * The installed programs, one for each processor. They are static, so it does not matter for which C library they were
 * built.
 */
export function remotePrograms(): RemoteProgram[] {
  const found = new Map<string, RemoteProgram>();
  for (const target of PUBLISHED_TARGETS) {
    const machine = MACHINES[target.split('-')[1] ?? ''] ?? '';
    const program = found.has(machine) ? undefined : installed(target, machine);
    if (program !== undefined) found.set(machine, program);
  }
  return [...found.values()];
}

function installed(target: string, machine: string): RemoteProgram | undefined {
  for (const folder of packageFolders(target)) {
    const path = join(folder, `sparsync-remote.${target}`);
    if (!existsSync(path) || !existsSync(`${path}.sha256`)) continue;
    const sha256 = readFileSync(`${path}.sha256`, 'latin1').trim();
    if (!/^[0-9a-f]{64}$/.test(sha256)) continue;
    const { version }: { version: string } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return { machine, path, bytes: statSync(path).size, sha256, version };
  }
  return undefined;
}

/** The name of a program at the other end. It depends on the content, so that another version is another file. */
function keptName({ sha256 }: RemoteProgram): string {
  return `sparsync-remote-${sha256.slice(0, 16)}`;
}

/** What `mktemp` replaces by letters of its choice. */
const PLACEHOLDER = 'X'.repeat(6);

/** Installs the other end where it is missing: permanently, for one run, or not at all. */
export type Bootstrap = boolean | 'temp';

/** How many days nobody may have used a program before the next one that is put beside it takes it away. */
const KEPT_DAYS = 30;

/**
 * The script for a POSIX shell at the other end. It runs the program of the `PATH`, or else the one that was installed before and is
 * unchanged, or else the package's command, or else it asks for the program by a line that the core answers with the content. Where
 * it may ask, only the program of the same version is taken from the `PATH`, if there is one to send. It must contain neither a
 * single quote nor an exclamation mark, so that a shell of any kind passes it on.
 */
export function startScript(programs: readonly RemoteProgram[], bootstrap: Bootstrap): string {
  const cases = programs.map(
    (program) => `${program.machine}) s=${program.sha256}; n=${program.bytes}; f=${keptName(program)};;`,
  );
  const [{ version } = { version: '' }] = programs;
  const isUsable =
    bootstrap === false
      ? 'command -v sparsync-remote >/dev/null 2>&1'
      : `[ "$(sparsync-remote --version 2>/dev/null)" = "sparsync-remote ${version}" ]`;
  const steps = [
    `${isUsable} && exec sparsync-remote --stdio`,
    'm=$(uname -m); [ "$m" = arm64 ] && m=aarch64; s=; n=; f=none',
    `case "$m" in ${cases.join(' ')} esac`,
    'd="${XDG_CACHE_HOME:-$HOME/.cache}/sparsync"; f="$d/$f"',
    'whole() { echo "$s  $1" | sha256sum -c >/dev/null 2>&1; }',
    '[ -x "$f" ] && whole "$f" && { touch "$f" 2>/dev/null; exec "$f" --stdio; }',
  ];
  if (bootstrap === false) {
    const command = 'command -v sparsync >/dev/null 2>&1 && exec sparsync --stdio';
    return [...steps, command, 'exit 127'].join('; ');
  }
  return [
    ...steps,
    // Where none can be sent, that of another version is tried.
    '[ -n "$s" ] || { command -v sparsync-remote >/dev/null 2>&1 && exec sparsync-remote --stdio; }',
    'echo "SPSY-NEED $(uname -s) $m"',
    '[ -n "$s" ] || exit 3',
    'bad() { echo "what arrived is not what was sent, or sha256sum is missing" >&2; exit 4; }',
    'u=$(umask); umask 077',
    ...(bootstrap === 'temp' ? FOR_ONE_RUN : FOR_GOOD),
  ].join('; ');
}

/** The file has lost its name before anything is in it, so that nothing can leave it there. */
const FOR_ONE_RUN = [
  `t=$(mktemp "\${TMPDIR:-/tmp}/sparsync-remote.${PLACEHOLDER}") || exit 3`,
  'chmod 700 "$t"; exec 3>"$t" 4<"$t"; rm -f "$t"',
  'head -c "$n" >&3; exec 3>&-; t=/proc/self/fd/4; whole "$t" || bad',
  // What the program makes is made under the umask of the account.
  'umask "$u"; exec "$t" --stdio',
];

/** What a killed shell of this machine has left of an earlier try is removed: its number is that of no process. */
const FOR_GOOD = [
  'mkdir -p "$d" || exit 3',
  't="$f.$(uname -n)"; for o in "$t".*; do p="${o#"$t".}"; [ "$p" -ge 0 ] 2>/dev/null && { kill -0 "$p" 2>/dev/null || rm -f "$o"; }; done; t="$t.$$"',
  // A signal is no reason not to try again, unlike the codes below.
  'trap "rm -f \\"$t\\"" EXIT; trap "exit 5" HUP INT PIPE TERM',
  'head -c "$n" >"$t"; whole "$t" || bad',
  // Where programs may not run it is not left.
  'chmod 700 "$t" && "$t" --version >/dev/null && umask "$u" && mv -f "$t" "$f" || exit',
  `find "$d" -type f -name "sparsync-remote-*" -mtime +${KEPT_DAYS} -exec rm -f {} + 2>/dev/null`,
  'exec "$f" --stdio',
];

/**
 * The words that have a POSIX shell run the script at the other end, whether they arrive as words, as by `docker exec`, or as one
 * line that a shell there reads first, as by ssh: that one runs `sh -c :`, which does nothing, and then the rest.
 */
export function startWords(script: string): readonly string[] {
  return ['sh', '-c', `: ; exec sh -c '${script}'`];
}
