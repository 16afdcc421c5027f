import { FLAG_HELP } from './flag-help.js';
import type { FlagHelp } from './flag-help.js';
import type { Flag } from './parse.js';
import { SYNC_FLAGS } from './transfer-flags.js';

/** The help of a verb. */
export function verbHelp(usage: string, purpose: string, flags: readonly Flag[]): string {
  return `usage: sparsync ${usage}\n\n${purpose}\n\n${describeFlags(flags)}`;
}

/** The help of the command itself. It begins with the basics for a newcomer. */
export function mainHelp(): string {
  return `sparsync -a SRC/ DEST/                            bring DEST up to date with SRC, on this machine
sparsync -a SRC/ USER@HOST:DEST/                  the same on another machine, over ssh
sparsync serve --root NAME=PATH --allow 'me KEY'  on a server: share a folder with the client that has KEY
sparsync -a SRC/ sparsync://HOST/NAME/PATH        on the client: push to it (swap the two to pull)

usage: sparsync [OPTIONS] SRC... DEST
       sparsync serve | server | invite | join | keys | trust | list | verify | profile | doctor | config
                | completion [--help]

SRC and DEST are paths; one of them may be on another machine: [USER@]HOST:PATH or ssh://[USER@]HOST[:PORT]/PATH
over ssh, sparsync://HOST[:PORT]/NAME/PATH on a server. A SRC with a slash at its end copies its content into DEST,
without one itself. Flags that rsync has do what they do there; docs/rsync.md lists the differences.

${describeFlags(SYNC_FLAGS)}

--no-NAME turns a flag off, as in -a --no-owner. -P stands for --partial --progress.

Verbs (write ./serve for a folder with such a name):
  serve                       serve folders to other machines
  server WORD                 the same in the background: start, status or stop
  invite NAME                 on a server: create a one-time invitation for another machine
  join HOST                   accept an invitation: become a client of the server at HOST
  keys                        show this machine's public key; on a server: list, show or revoke clients, or rotate the key
  trust HOST [KEY]            show or pin the keys of a server
  list URL                    list a folder of a server, or its roots
  verify SRC DEST             compare two trees, content included
  profile report FILE         show where the time of a sync went
  doctor [URL | SRC DEST]     check whether a run would work, and what is wrong
  config show                 show the settings of sparsync.toml files and the environment
  completion SHELL            print the completions for bash, zsh or fish

Environment:
  SPARSYNC_CONFIG_DIR         the folder of key, known_hosts and authorized_keys (~/.config/sparsync)
  SPARSYNC_STATE_DIR          the folder of what runs remember; it may be missing (~/.local/state/sparsync)
  SPARSYNC_BATCH_WRITE_CONCURRENCY  as --lanes, for runs without it
  SPARSYNC_GUARDS             off: also make deletions that look like an accident
  SPARSYNC_PROFILE            1: show where the time of each sync went
  SPARSYNC_CONFIG             the only file of settings to read, or none
  SPARSYNC_CREDENTIAL         the key, the server and the server's key in one word, instead of files
  SPARSYNC_NAME               a setting: SPARSYNC_BWLIMIT for --bwlimit, SPARSYNC_SERVE_GRACE for serve --grace

Exit codes: 0 success, 1 usage, 2 no common protocol version, 3 DEST is not a directory, 10 connection,
11 file system, disk full or no parent directory for DEST, 12 protocol error, 20 interrupted, 23 a SRC does not exist
or some paths were not transferred completely, 24 some files vanished, 25 --max-delete reached, 30 timeout,
35 timeout while connecting, 40 deletion refused, 41 busy, 43 unknown server, 44 not allowed, 45 no native binary,
46 output could not be written, 47 a limit was reached, 48 the server's key is not the pinned one, 49 a tree changed
since the plan was made, 70 a defect.`;
}

/** What the help says of a flag, and under which heading. */
export function flagHelp({ name, category, help }: Flag): FlagHelp {
  const said = { ...FLAG_HELP[name], ...(category !== undefined && { category }), ...(help !== undefined && { help }) };
  if (said.category === undefined || said.help === undefined) throw new TypeError(`--${name} has no help`);
  return { category: said.category, help: said.help };
}

/** The lines of `--help` for some flags, under their headings in order of declaration. */
function describeFlags(flags: readonly Flag[]): string {
  const shown = flags.filter((flag) => flag.hidden !== true);
  const left = (flag: Flag): string => {
    const value = flag.value === undefined ? '' : flag.bare === undefined ? `=${flag.value}` : `[=${flag.value}]`;
    return `  ${flag.short === undefined ? '   ' : `-${flag.short},`} --${flag.name}${value}`;
  };
  const width = Math.max(...shown.map((flag) => left(flag).length)) + 2;
  const categories = [...new Set(shown.map((flag) => flagHelp(flag).category))];
  return categories
    .map((category) => {
      const lines = shown
        .filter((flag) => flagHelp(flag).category === category)
        .map((flag) => `${left(flag).padEnd(width)}${flagHelp(flag).help}`);
      return [`${category}:`, ...lines].join('\n');
    })
    .join('\n\n');
}
