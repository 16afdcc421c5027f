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
  return `sparsync -a SRC/ DEST/                          make DEST equal to SRC on this machine
sparsync serve --root NAME=PATH --allow 'me KEY' on the server: offer a folder to a client's key
sparsync -a SRC/ sparsync://HOST/NAME/PATH       on the client: send (or swap both: fetch)

usage: sparsync [OPTIONS] SRC... DEST
       sparsync serve | server | invite | join | keys | trust | list | verify | profile | doctor | config
                | completion [--help]

SRC or DEST may be sparsync://HOST[:PORT]/NAME/PATH. A SRC without a slash at its end is put below DEST
under its own name; with one, its content is. Flags mean what they mean in rsync.

${describeFlags(SYNC_FLAGS)}

Flags can be turned off by --no-NAME, as in -a --no-owner. -P stands for --partial --progress.

Verbs (a folder of the same name is written ./serve):
  serve                       offer folders to other machines
  server WORD                 the same in the background: start, status or stop
  invite NAME                 on a server: let another machine in, which then says
  join HOST                   become a client of a server by an invitation
  keys                        show this machine's public key; on a server list, show or revoke clients, or change the key
  trust HOST [KEY]            show or add the pinned keys of a server
  list URL                    show a folder of a server, or its roots
  verify SRC DEST             compare two trees, content included
  profile report FILE         say where the time of a sync went
  doctor [URL | SRC DEST]     find out whether a run would work, and what is wrong
  config show                 say what files of settings (sparsync.toml) say
  completion SHELL            print what bash, zsh or fish complete words by

Environment:
  SPARSYNC_CONFIG_DIR         folder of key, known_hosts and authorized_keys (~/.config/sparsync)
  SPARSYNC_STATE_DIR          folder of what runs remember; may be missing (~/.local/state/sparsync)
  SPARSYNC_BATCH_WRITE_CONCURRENCY  as --lanes, for runs that do not say
  SPARSYNC_GUARDS             off: delete what looks like an accident too
  SPARSYNC_PROFILE            1: show where the time of each sync went
  SPARSYNC_CONFIG             the one file of settings that is read, or none
  SPARSYNC_CREDENTIAL         key, server and its key in one word, instead of files
  SPARSYNC_NAME               a setting: SPARSYNC_BWLIMIT for --bwlimit, SPARSYNC_SERVE_GRACE for serve --grace

Exit codes: 0 all is well, 1 usage, 2 no version of the protocol in common, 3 the
destination is no directory, 10 connection, 11 file system, full disk or no place for the destination, 12 protocol, 20 interrupted, 23 a source is not
there or some paths are not as they should be, 24 some vanished, 25 --max-delete reached, 30 timeout,
35 timeout of connecting, 40 deletion refused, 41 busy, 42 content was damaged on its way, 43 server not
known, 44 not allowed, 45 no native binary, 46 output could not be written, 47 a limit was reached,
48 the server's key is not the pinned one, 49 a tree moved since the plan was made, 70 a defect.`;
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
