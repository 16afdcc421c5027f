// Written by scripts/options.mjs from the table in options/; never edited.
import { CONGESTIONS } from '../congestion.js';
import type { TransferOptions } from '../options.js';
import { recordOf } from '../record.js';
import { TRANSPORT_CHOICES } from '../transports.js';
import { CHANGINGS, COMPRESSIONS, DURABILITIES } from '../words.js';
import { filterOf } from './filter-flags.js';
import {
  BOOTSTRAPS,
  CODECS,
  REMOTE_OPTIONS,
  boundOf,
  compressionOf,
  joinedOf,
  millisecondsOf,
  rateOf,
  remoteOption,
  sizeOf,
  snapshotOf,
  stopAtOf,
  windowOf,
} from './flag-values.js';
import { filesFromOf } from './lists.js';
import type { Flag, ParsedFlags } from './parse.js';

export const RELATIVE_FLAG: Flag = {
  name: 'relative',
  short: 'R',
  category: 'What is transferred',
  help: 'each source arrives under its whole path, or the part behind /./',
};
export const IMPLIED_DIRS_FLAG: Flag = {
  name: 'implied-dirs',
  category: 'What is transferred',
  help: 'with -R: attributes of the directories on the way too (default; --no-implied-dirs)',
};
export const FILES_FROM_FLAG: Flag = {
  name: 'files-from',
  value: 'FILE',
  category: 'What is transferred',
  help: 'the paths below SRC that FILE lists, one in a line (- is standard input, :FILE below the root of the server)',
};
export const FROM0_FLAG: Flag = {
  name: 'from0',
  short: '0',
  category: 'What is transferred',
  help: 'lists of files and rules end their entries with NUL',
};
export const LINKS_FLAG: Flag = {
  name: 'links',
  short: 'l',
  category: 'What is transferred',
  help: 'carry symlinks as symlinks',
};
export const COPY_LINKS_FLAG: Flag = {
  name: 'copy-links',
  short: 'L',
  category: 'What is transferred',
  help: 'take symlinks for what they lead to',
};
export const COPY_DIRLINKS_FLAG: Flag = {
  name: 'copy-dirlinks',
  short: 'k',
  category: 'What is transferred',
  help: 'take symlinks to directories for those',
};
export const COPY_UNSAFE_LINKS_FLAG: Flag = {
  name: 'copy-unsafe-links',
  category: 'What is transferred',
  help: 'take symlinks that lead out of the tree for what they lead to',
};
export const SAFE_LINKS_FLAG: Flag = {
  name: 'safe-links',
  category: 'What is transferred',
  help: 'leave symlinks alone that lead out of the tree',
};
export const MUNGE_LINKS_FLAG: Flag = {
  name: 'munge-links',
  category: 'What is transferred',
  help: 'on this side: write symlinks so that they lead nowhere, and read them back',
};
export const PERMS_FLAG: Flag = { name: 'perms', short: 'p', category: 'What is transferred', help: 'carry modes' };
export const TIMES_FLAG: Flag = {
  name: 'times',
  short: 't',
  category: 'What is transferred',
  help: 'carry modification times',
};
export const GROUP_FLAG: Flag = {
  name: 'group',
  short: 'g',
  category: 'What is transferred',
  help: 'carry groups, where permitted',
};
export const OWNER_FLAG: Flag = {
  name: 'owner',
  short: 'o',
  category: 'What is transferred',
  help: 'carry owners, where permitted',
};
export const XATTRS_FLAG: Flag = {
  name: 'xattrs',
  short: 'X',
  twice: 'what --fake-super stores is read and written by that flag',
  category: 'What is transferred',
  help: 'carry extended attributes: user. alone, as root all but system.',
};
export const HARD_LINKS_FLAG: Flag = {
  name: 'hard-links',
  short: 'H',
  category: 'What is transferred',
  help: 'make hard links where the source has some',
};
export const FAKE_SUPER_FLAG: Flag = {
  name: 'fake-super',
  category: 'What is transferred',
  help: 'store what takes root (owners, devices, ACLs) in attributes user.rsync.%, and read it there, on this side',
};
export const REMOTE_OPTION_FLAG: Flag = {
  name: 'remote-option',
  short: 'M',
  value: 'OPTION',
  many: true,
  choices: REMOTE_OPTIONS,
  category: 'What is transferred',
  help: 'give OPTION to the other side alone: --fake-super or --munge-links',
};
export const ACLS_FLAG: Flag = {
  name: 'acls',
  short: 'A',
  implies: ['perms'],
  category: 'What is transferred',
  help: 'carry ACLs, where permitted (implies --perms)',
};
export const DEVICES_FLAG: Flag = {
  name: 'devices',
  category: 'What is transferred',
  help: 'make devices, as root and where permitted',
};
export const SPECIALS_FLAG: Flag = {
  name: 'specials',
  category: 'What is transferred',
  help: 'make FIFOs and sockets, where permitted (-D: --devices --specials)',
};
export const ONE_FILE_SYSTEM_FLAG: Flag = {
  name: 'one-file-system',
  short: 'x',
  doubled: 'omit-mount-points',
  category: 'What is transferred',
  help: 'go into no directory of another file system; twice leaves such directories out',
};
export const OMIT_MOUNT_POINTS_FLAG: Flag = {
  name: 'omit-mount-points',
  implies: ['one-file-system'],
  category: 'What is transferred',
  help: 'leave out directories of another file system: -xx',
};
export const PRUNE_EMPTY_DIRS_FLAG: Flag = {
  name: 'prune-empty-dirs',
  short: 'm',
  category: 'What is transferred',
  help: 'leave out directories of SRC that hold nothing but directories',
};
export const FILTER_FLAG: Flag = {
  name: 'filter',
  short: 'f',
  value: 'RULE',
  many: true,
  category: 'What is transferred',
  help: 'add a rule: "- PATTERN" leaves out, "+ PATTERN" takes (also H S P R . : !; docs/filters.md)',
};
export const EXCLUDE_FLAG: Flag = {
  name: 'exclude',
  value: 'PATTERN',
  many: true,
  project: true,
  category: 'What is transferred',
  help: 'leave out what matches PATTERN, on both sides',
};
export const INCLUDE_FLAG: Flag = {
  name: 'include',
  value: 'PATTERN',
  many: true,
  category: 'What is transferred',
  help: 'take what matches PATTERN, whatever a later rule says',
};
export const EXCLUDE_FROM_FLAG: Flag = {
  name: 'exclude-from',
  value: 'FILE',
  many: true,
  category: 'What is transferred',
  help: 'leave out what matches a line of FILE (- is standard input)',
};
export const INCLUDE_FROM_FLAG: Flag = {
  name: 'include-from',
  value: 'FILE',
  many: true,
  category: 'What is transferred',
  help: 'take what matches a line of FILE (- is standard input)',
};
export const RSYNC_FILTER_FLAG: Flag = {
  name: 'rsync-filter',
  short: 'F',
  value: 'NAME',
  bare: '.rsync-filter',
  many: true,
  category: 'What is transferred',
  help: 'read rules from .rsync-filter in each directory (-f ": /.rsync-filter"); twice leaves such files out',
};
export const GITIGNORE_FLAG: Flag = {
  name: 'gitignore',
  project: true,
  category: 'What is transferred',
  help: 'leave out what git ignores (.gitignore, .git/info/exclude), where no other rule decides',
};
export const CVS_EXCLUDE_FLAG: Flag = {
  name: 'cvs-exclude',
  short: 'C',
  project: true,
  category: 'What is transferred',
  help: 'leave out what CVS leaves alone: -f :C -f -C, behind all other rules',
};
export const EXECUTABILITY_FLAG: Flag = {
  name: 'executability',
  short: 'E',
  category: 'Modes, times and owners',
  help: 'without -p: carry whether a file can be executed',
};
export const CHMOD_FLAG: Flag = {
  name: 'chmod',
  value: 'MODES',
  many: true,
  category: 'Modes, times and owners',
  help: 'take the modes of SRC for what MODES makes of them (D755,F644; u=rwX,go=rX)',
};
export const OMIT_DIR_TIMES_FLAG: Flag = {
  name: 'omit-dir-times',
  short: 'O',
  project: true,
  category: 'Modes, times and owners',
  help: 'carry no modification times of directories',
};
export const OMIT_LINK_TIMES_FLAG: Flag = {
  name: 'omit-link-times',
  short: 'J',
  project: true,
  category: 'Modes, times and owners',
  help: 'carry no modification times of symlinks',
};
export const ATIMES_FLAG: Flag = {
  name: 'atimes',
  short: 'U',
  doubled: 'open-noatime',
  category: 'Modes, times and owners',
  help: 'carry access times of all but directories; twice is --open-noatime as well',
};
export const OPEN_NOATIME_FLAG: Flag = {
  name: 'open-noatime',
  category: 'Modes, times and owners',
  help: 'read files without changing their access times, where the system allows it',
};
export const NUMERIC_IDS_FLAG: Flag = {
  name: 'numeric-ids',
  category: 'Modes, times and owners',
  help: 'carry owners and groups by number, not by name',
};
export const USERMAP_FLAG: Flag = {
  name: 'usermap',
  value: 'MAP',
  implies: ['owner'],
  category: 'Modes, times and owners',
  help: 'owners in DEST for owners in SRC (alice:bob,1000-1999:nobody,*:root); implies -o',
};
export const GROUPMAP_FLAG: Flag = {
  name: 'groupmap',
  value: 'MAP',
  implies: ['group'],
  category: 'Modes, times and owners',
  help: 'groups in DEST for groups in SRC; implies -g',
};
export const CHOWN_FLAG: Flag = {
  name: 'chown',
  value: 'USER:GROUP',
  partsImply: ['owner', 'group'],
  category: 'Modes, times and owners',
  help: 'everything in DEST belongs to USER, to GROUP, or to both',
};
export const MODIFY_WINDOW_FLAG: Flag = {
  name: 'modify-window',
  value: 'SECONDS',
  category: 'How it is compared',
  help: 'times this far apart are equal; -1 compares nanoseconds (default: 0)',
};
export const RETRY_FLAG: Flag = {
  name: 'retry',
  value: 'NUM',
  project: true,
  category: 'How it runs',
  help: 'try NUM times more when the connection fails (default: 0)',
};
export const TIMEOUT_FLAG: Flag = {
  name: 'timeout',
  value: 'SECONDS',
  off: '0',
  project: true,
  category: 'How it runs',
  help: 'give up when no work is done for so long (default: 60; 0: never)',
};
export const STOP_AT_FLAG: Flag = {
  name: 'stop-at',
  value: 'TIME',
  category: 'How it runs',
  help: 'end at this time, done or not: [[[YYYY-]MM-]DD]T][HH]:MM',
};
export const STOP_AFTER_FLAG: Flag = {
  name: 'stop-after',
  value: 'MINUTES',
  category: 'How it runs',
  help: 'end after so many minutes, done or not',
};
export const BWLIMIT_FLAG: Flag = {
  name: 'bwlimit',
  value: 'RATE',
  project: true,
  category: 'How it runs',
  help: 'send no more than RATE per second (KiB; K, M, G; 0: no limit)',
};
export const VERBOSE_FLAG: Flag = {
  name: 'verbose',
  short: 'v',
  project: true,
  category: 'Output',
  help: 'list what is done, and totals; twice, also what is left alone',
};
export const QUIET_FLAG: Flag = { name: 'quiet', short: 'q', category: 'Output', help: 'no warnings, errors only' };
export const JSON_FLAG: Flag = {
  name: 'json',
  category: 'Output',
  help: 'one JSON object per line on stdout (schema 1)',
};
export const CONFIG_FLAG: Flag = {
  name: 'config',
  value: 'FILE',
  off: 'none',
  category: 'Output',
  help: 'read settings from FILE alone, and from no sparsync.toml (--no-config: from no file)',
};
export const HELP_FLAG: Flag = { name: 'help', category: 'Output', help: 'show this help' };
export const IDENTITY_FLAG: Flag = {
  name: 'identity',
  value: 'FILE',
  category: 'Connection and trust',
  help: "the private key to show (default: this user's key.pem, made when missing)",
};
export const PIN_FLAG: Flag = {
  name: 'pin',
  value: 'KEY',
  many: true,
  category: 'Connection and trust',
  help: 'trust the server only with this key (ed25519:…)',
};
export const KNOWN_HOSTS_FLAG: Flag = {
  name: 'known-hosts',
  value: 'FILE',
  category: 'Connection and trust',
  help: "pinned keys by host (default: this user's known_hosts)",
};
export const CA_FLAG: Flag = {
  name: 'ca',
  value: 'FILE',
  category: 'Connection and trust',
  help: 'trust servers with a certificate of this private CA (PEM)',
};
export const CONTIMEOUT_FLAG: Flag = {
  name: 'contimeout',
  value: 'SECONDS',
  off: '3600',
  category: 'Connection and trust',
  help: 'time for connecting (default: 10)',
};
export const RSH_FLAG: Flag = {
  name: 'rsh',
  short: 'e',
  value: 'COMMAND',
  category: 'Connection and trust',
  help: 'the remote shell for HOST:PATH (default: $RSYNC_RSH, or ssh)',
};
export const RSYNC_PATH_FLAG: Flag = {
  name: 'rsync-path',
  value: 'PROGRAM',
  category: 'Connection and trust',
  help: 'what is started at the other end of HOST:PATH, for its shell (default: sparsync-remote)',
};
export const BOOTSTRAP_FLAG: Flag = {
  name: 'bootstrap',
  value: 'HOW',
  bare: 'keep',
  off: 'no',
  choices: BOOTSTRAPS,
  category: 'Connection and trust',
  help: 'put sparsync-remote at the other end of HOST:PATH when it is missing; "temp" for this run alone (default: asks on a terminal)',
};
export const CONGESTION_FLAG: Flag = {
  name: 'congestion',
  value: 'NAME',
  choices: CONGESTIONS,
  category: 'Connection and trust',
  help: 'what decides how much this side sends: auto, bbr or cubic (default: auto)',
};
export const TRANSPORT_FLAG: Flag = {
  name: 'transport',
  value: 'NAME',
  choices: TRANSPORT_CHOICES,
  category: 'Connection and trust',
  help: 'what may carry the connection to a server: quic, tcp, or auto, which is TCP where UDP gets no answer (default: auto)',
};

/** Flags of every command that connects. */
export const CONNECTING_FLAGS: readonly Flag[] = [
  IDENTITY_FLAG,
  PIN_FLAG,
  KNOWN_HOSTS_FLAG,
  CA_FLAG,
  CONTIMEOUT_FLAG,
  RSH_FLAG,
  RSYNC_PATH_FLAG,
  BOOTSTRAP_FLAG,
  CONGESTION_FLAG,
  TRANSPORT_FLAG,
];

/** Flags of a sync. */
export const SYNC_FLAGS: readonly Flag[] = [
  {
    name: 'archive',
    short: 'a',
    implies: ['recursive', 'links', 'perms', 'times', 'group', 'owner', 'devices', 'specials'],
    category: 'What is transferred',
    help: 'the same as -rlptgoD: a faithful copy',
  },
  {
    name: 'recursive',
    short: 'r',
    category: 'What is transferred',
    help: 'go into directories; without it they are skipped',
  },
  { name: 'dirs', short: 'd', category: 'What is transferred', help: 'carry directories without going into them' },
  RELATIVE_FLAG,
  IMPLIED_DIRS_FLAG,
  FILES_FROM_FLAG,
  FROM0_FLAG,
  LINKS_FLAG,
  COPY_LINKS_FLAG,
  COPY_DIRLINKS_FLAG,
  COPY_UNSAFE_LINKS_FLAG,
  {
    name: 'keep-dirlinks',
    short: 'K',
    category: 'What is transferred',
    help: 'write through symlinks to directories of DEST where SRC has directories',
  },
  SAFE_LINKS_FLAG,
  MUNGE_LINKS_FLAG,
  PERMS_FLAG,
  TIMES_FLAG,
  GROUP_FLAG,
  OWNER_FLAG,
  XATTRS_FLAG,
  HARD_LINKS_FLAG,
  FAKE_SUPER_FLAG,
  REMOTE_OPTION_FLAG,
  ACLS_FLAG,
  DEVICES_FLAG,
  SPECIALS_FLAG,
  {
    name: 'devices-specials',
    short: 'D',
    implies: ['devices', 'specials'],
    hidden: true,
    category: 'What is transferred',
    help: 'the same as --devices --specials',
  },
  ONE_FILE_SYSTEM_FLAG,
  OMIT_MOUNT_POINTS_FLAG,
  PRUNE_EMPTY_DIRS_FLAG,
  FILTER_FLAG,
  EXCLUDE_FLAG,
  INCLUDE_FLAG,
  EXCLUDE_FROM_FLAG,
  INCLUDE_FROM_FLAG,
  RSYNC_FILTER_FLAG,
  GITIGNORE_FLAG,
  CVS_EXCLUDE_FLAG,
  EXECUTABILITY_FLAG,
  CHMOD_FLAG,
  OMIT_DIR_TIMES_FLAG,
  OMIT_LINK_TIMES_FLAG,
  ATIMES_FLAG,
  OPEN_NOATIME_FLAG,
  NUMERIC_IDS_FLAG,
  USERMAP_FLAG,
  GROUPMAP_FLAG,
  CHOWN_FLAG,
  {
    name: 'super',
    category: 'Modes, times and owners',
    help: 'try what takes the rights of root in DEST (--no-super: do not, as root too)',
  },
  {
    name: 'strict-attributes',
    category: 'Modes, times and owners',
    help: "fail (23) for each entry with an attribute that DEST's file system cannot hold, in place of one warning",
  },
  {
    name: 'checksum',
    short: 'c',
    project: true,
    category: 'How it is compared',
    help: 'compare content instead of size and time',
  },
  { name: 'size-only', category: 'How it is compared', help: 'compare the size alone' },
  {
    name: 'ignore-times',
    short: 'I',
    category: 'How it is compared',
    help: 'transfer every file, whatever its size and time',
  },
  MODIFY_WINDOW_FLAG,
  { name: 'update', short: 'u', category: 'How it is compared', help: 'leave files alone that are newer in DEST' },
  {
    name: 'ignore-existing',
    category: 'How it is compared',
    help: 'leave files alone that DEST has, whatever they hold',
  },
  { name: 'existing', category: 'How it is compared', help: 'make nothing that DEST does not have' },
  {
    name: 'ignore-non-existing',
    implies: ['existing'],
    hidden: true,
    category: 'How it is compared',
    help: 'the same as --existing',
  },
  {
    name: 'max-size',
    value: 'SIZE',
    project: true,
    category: 'How it is compared',
    help: 'leave files alone that are larger than SIZE (K, M, G; KB is 1000)',
  },
  {
    name: 'min-size',
    value: 'SIZE',
    project: true,
    category: 'How it is compared',
    help: 'leave files alone that are smaller than SIZE',
  },
  {
    name: 'whole-file',
    short: 'W',
    category: 'How it is written',
    help: 'send whole files (default between local folders; --no-whole-file)',
  },
  {
    name: 'inplace',
    category: 'How it is written',
    help: 'write over files, so that a run that is cut off leaves them torn',
  },
  {
    name: 'append',
    category: 'How it is written',
    help: 'add to files what they lack at their ends (implies --inplace)',
  },
  {
    name: 'append-verify',
    implies: ['append'],
    category: 'How it is written',
    help: 'the same: what is there is always verified',
  },
  {
    name: 'fuzzy',
    short: 'y',
    doubled: 'fuzzy-dest',
    category: 'How it is written',
    help: 'send of new files what a similar file in their directory lacks; twice: or one in --link-dest and its like',
  },
  { name: 'fuzzy-dest', implies: ['fuzzy'], hidden: true, category: 'How it is written', help: 'the same as -yy' },
  {
    name: 'verify-copies',
    category: 'How it is written',
    help: 'hash what is copied between local folders, as over a network',
  },
  { name: 'remove-source-files', category: 'How it is written', help: 'remove files of SRC that have arrived' },
  {
    name: 'delay-updates',
    category: 'How it is written',
    help: 'give files their names at the end, when all content has come',
  },
  {
    name: 'publish',
    category: 'How it is written',
    help: 'make the new tree beside DEST, and exchange the two in one step',
  },
  {
    name: 'keep-previous',
    implies: ['publish'],
    category: 'How it is written',
    help: 'keep what DEST was as DEST.previous (implies --publish)',
  },
  {
    name: 'snapshot',
    category: 'How it is written',
    help: 'make a snapshot below DEST, named by its time, of hard links to what the newest has alike',
  },
  {
    name: 'keep-last',
    value: 'NUM',
    category: 'How it is written',
    help: 'keep the last NUM snapshots (with --snapshot: remove those that no --keep- keeps)',
  },
  {
    name: 'keep-hourly',
    value: 'NUM',
    category: 'How it is written',
    help: 'keep the last snapshot of each of NUM hours',
  },
  { name: 'keep-daily', value: 'NUM', category: 'How it is written', help: 'keep the same for days' },
  { name: 'keep-weekly', value: 'NUM', category: 'How it is written', help: 'keep the same for weeks' },
  { name: 'keep-monthly', value: 'NUM', category: 'How it is written', help: 'keep the same for months' },
  { name: 'keep-yearly', value: 'NUM', category: 'How it is written', help: 'keep the same for years' },
  {
    name: 'partial-dir',
    value: 'DIR',
    category: 'How it is written',
    help: 'keep verified parts of large files in DIR (implies --partial)',
  },
  {
    name: 'temp-dir',
    short: 'T',
    value: 'DIR',
    category: 'How it is written',
    help: 'write files in DIR, and move them when they are complete',
  },
  { name: 'backup', short: 'b', category: 'How it is written', help: 'keep what is replaced or deleted, as NAME~' },
  {
    name: 'backup-dir',
    value: 'DIR',
    category: 'How it is written',
    help: 'keep it in DIR, under its path (implies -b)',
  },
  {
    name: 'suffix',
    value: 'SUFFIX',
    category: 'How it is written',
    help: 'what the names of backups end with (default: ~, with --backup-dir nothing)',
  },
  {
    name: 'compare-dest',
    value: 'DIR',
    many: true,
    category: 'How it is written',
    help: 'make nothing that DIR has alike (may be repeated)',
  },
  {
    name: 'copy-dest',
    value: 'DIR',
    many: true,
    category: 'How it is written',
    help: 'copy from DIR what it has alike',
  },
  {
    name: 'link-dest',
    value: 'DIR',
    many: true,
    category: 'How it is written',
    help: 'make hard links to what DIR has alike',
  },
  { name: 'delete', category: 'Deleting', help: 'remove from DEST what SRC does not have' },
  { name: 'delete-excluded', implies: ['delete'], category: 'Deleting', help: 'remove what the rules leave out, too' },
  {
    name: 'delete-before',
    implies: ['delete'],
    category: 'Deleting',
    help: 'the same as --delete: nothing is removed before both sides are known in full',
  },
  { name: 'delete-during', implies: ['delete'], hidden: true, category: 'Deleting', help: 'the same as --delete' },
  { name: 'del', implies: ['delete'], hidden: true, category: 'Deleting', help: 'the same as --delete' },
  { name: 'delete-delay', implies: ['delete'], hidden: true, category: 'Deleting', help: 'the same as --delete' },
  {
    name: 'delete-after',
    implies: ['delete'],
    category: 'Deleting',
    help: 'let files of rules that arrive decide what is removed',
  },
  { name: 'delete-missing-args', category: 'Deleting', help: 'remove from DEST what a SRC that is not there would be' },
  { name: 'ignore-missing-args', category: 'Deleting', help: 'pass over a SRC that is not there, without an error' },
  { name: 'ignore-errors', category: 'Deleting', help: 'delete also when the source could not be read in full' },
  { name: 'max-delete', value: 'NUM', category: 'Deleting', help: 'delete no more than NUM entries' },
  {
    name: 'allow-mass-delete',
    category: 'Deleting',
    help: 'allow deletions that look like an accident (or SPARSYNC_GUARDS=off)',
  },
  { name: 'force', category: 'Deleting', help: 'replace directories that are not empty by what SRC has there' },
  { name: 'dry-run', short: 'n', category: 'How it runs', help: 'find out what would be done, write nothing' },
  { name: 'mkpath', category: 'How it runs', help: 'make all missing directories above DEST' },
  {
    name: 'sparse',
    short: 'S',
    category: 'How it runs',
    help: 'make holes of runs of zeros; holes of the source stay holes without it',
  },
  {
    name: 'partial',
    category: 'How it runs',
    help: 'keep verified parts of large files for the next run (default; --no-partial)',
  },
  { name: 'preallocate', category: 'How it runs', help: 'reserve the room of each file before it is written' },
  {
    name: 'compress',
    short: 'z',
    value: 'WHEN',
    bare: 'always',
    off: 'never',
    choices: COMPRESSIONS,
    project: true,
    category: 'How it runs',
    help: 'auto, always or never (default: auto)',
  },
  {
    name: 'compress-choice',
    value: 'NAME',
    choices: CODECS,
    category: 'How it runs',
    help: 'lz4 (compress always), none or auto',
  },
  { name: 'zc', value: 'NAME', hidden: true, category: 'How it runs', help: 'the same as --compress-choice' },
  {
    name: 'compress-level',
    value: 'NUM',
    category: 'How it runs',
    help: '0: compress nothing; else the one level that LZ4 has',
  },
  { name: 'zl', value: 'NUM', hidden: true, category: 'How it runs', help: 'the same as --compress-level' },
  {
    name: 'skip-compress',
    value: 'LIST',
    project: true,
    category: 'How it runs',
    help: 'compress no file whose name ends in one of LIST: gz/jp[e]g/mp[34]',
  },
  {
    name: 'changing',
    value: 'HOW',
    choices: CHANGINGS,
    category: 'How it runs',
    help: 'files that change while they are read: fail, or prefix for those that only grow (default: fail)',
  },
  {
    name: 'durability',
    value: 'LEVEL',
    choices: DURABILITIES,
    category: 'How it runs',
    help: 'what is on disk at the end: none, run or file (default: none)',
  },
  { name: 'fsync', category: 'How it runs', help: 'the same as --durability=file' },
  RETRY_FLAG,
  TIMEOUT_FLAG,
  STOP_AT_FLAG,
  STOP_AFTER_FLAG,
  BWLIMIT_FLAG,
  {
    name: 'lanes',
    value: 'NUM',
    project: true,
    category: 'How it runs',
    help: 'readers and writers side by side, 1 to 4 (default: 2)',
  },
  {
    name: 'lock-wait',
    value: 'SECONDS',
    category: 'How it runs',
    help: 'wait for another run on the same destination (default: 0)',
  },
  VERBOSE_FLAG,
  QUIET_FLAG,
  {
    name: 'itemize-changes',
    short: 'i',
    project: true,
    category: 'Output',
    help: 'list each change and why; twice, also what is unchanged',
  },
  {
    name: 'explain',
    value: 'PATH',
    many: true,
    category: 'Output',
    help: 'do nothing but say which filter rule decides about PATH, a path of the transfer',
  },
  { name: 'out-format', value: 'FORMAT', category: 'Output', help: 'list each change in this form, as in "%i %n%L"' },
  { name: 'log-file', value: 'FILE', category: 'Output', help: 'write what is done to the end of FILE, with the time' },
  {
    name: 'log-file-format',
    value: 'FORMAT',
    category: 'Output',
    help: 'the form of what --log-file has of each change',
  },
  {
    name: 'info',
    value: 'FLAGS',
    many: true,
    category: 'Output',
    help: 'say more or less of something (--info=help lists it)',
  },
  {
    name: 'debug',
    value: 'FLAGS',
    many: true,
    hidden: true,
    category: 'Output',
    help: 'accepted, as there is nothing to say',
  },
  { name: 'inc-recursive', hidden: true, category: 'Output', help: 'accepted: it changes what the first line says' },
  { name: 'i-r', implies: ['inc-recursive'], hidden: true, category: 'Output', help: 'the same as --inc-recursive' },
  { name: 'list-only', category: 'Output', help: 'list what would be transferred; it is so without DEST, too' },
  { name: 'progress', project: true, category: 'Output', help: 'show progress' },
  {
    name: 'partial-progress',
    short: 'P',
    implies: ['partial', 'progress'],
    hidden: true,
    category: 'Output',
    help: 'the same as --partial --progress',
  },
  { name: 'stats', project: true, category: 'Output', help: 'show totals at the end' },
  {
    name: 'profile',
    value: 'FILE',
    category: 'Output',
    help: 'add to FILE where the time of both ends went (see "sparsync profile report")',
  },
  {
    name: 'human-readable',
    short: 'h',
    project: true,
    category: 'Output',
    help: 'show sizes with units of 1000, twice of 1024',
  },
  {
    name: '8-bit-output',
    short: '8',
    project: true,
    category: 'Output',
    help: 'show bytes of names that are no text as they are',
  },
  JSON_FLAG,
  CONFIG_FLAG,
  HELP_FLAG,
  { name: 'version', short: 'V', category: 'Output', help: 'show the version' },
  ...CONNECTING_FLAGS,
];

/** The flags of switches, by their options. */
const SWITCHES = {
  recursive: 'recursive',
  dirs: 'dirs',
  links: 'links',
  copyLinks: 'copy-links',
  copyDirLinks: 'copy-dirlinks',
  copyUnsafeLinks: 'copy-unsafe-links',
  keepDirLinks: 'keep-dirlinks',
  safeLinks: 'safe-links',
  mungeLinks: 'munge-links',
  perms: 'perms',
  times: 'times',
  group: 'group',
  owner: 'owner',
  xattrs: 'xattrs',
  hardLinks: 'hard-links',
  fakeSuper: 'fake-super',
  acls: 'acls',
  devices: 'devices',
  specials: 'specials',
  oneFileSystem: 'one-file-system',
  omitMountPoints: 'omit-mount-points',
  pruneEmptyDirs: 'prune-empty-dirs',
  gitignore: 'gitignore',
  executability: 'executability',
  omitDirTimes: 'omit-dir-times',
  omitLinkTimes: 'omit-link-times',
  atimes: 'atimes',
  openNoatime: 'open-noatime',
  numericIds: 'numeric-ids',
  strictAttributes: 'strict-attributes',
  update: 'update',
  ignoreExisting: 'ignore-existing',
  existing: 'existing',
  inplace: 'inplace',
  append: 'append',
  fuzzy: 'fuzzy',
  fuzzyDest: 'fuzzy-dest',
  verifyCopies: 'verify-copies',
  removeSourceFiles: 'remove-source-files',
  delayUpdates: 'delay-updates',
  publish: 'publish',
  keepPrevious: 'keep-previous',
  backup: 'backup',
  delete: 'delete',
  deleteExcluded: 'delete-excluded',
  deleteAfter: 'delete-after',
  ignoreErrors: 'ignore-errors',
  force: 'force',
  dryRun: 'dry-run',
  mkpath: 'mkpath',
  sparse: 'sparse',
  preallocate: 'preallocate',
} as const;

/** What the flags of a sync say, with the defaults of the command, which are rsync's. */
export function flaggedOptions(flags: ParsedFlags) {
  // An object's keys are known to be no more than what was written there.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const names = Object.keys(SWITCHES) as (keyof typeof SWITCHES)[];
  return Object.assign(
    recordOf(names, (name) => flags.on(SWITCHES[name])),
    {
      relative: flags.given('relative'),
      impliedDirs: flags.given('implied-dirs'),
      filesFrom: filesFromOf(flags),
      remoteMungeLinks: remoteOption(flags, '--munge-links'),
      remoteFakeSuper: remoteOption(flags, '--fake-super'),
      filter: filterOf(flags),
      chmod: joinedOf(flags, 'chmod'),
      usermap: flags.text('usermap'),
      groupmap: flags.text('groupmap'),
      chown: flags.text('chown'),
      superUser: flags.given('super'),
      compare: flags.on('checksum')
        ? 'content'
        : flags.on('size-only')
          ? 'size'
          : flags.on('ignore-times')
            ? 'none'
            : 'quick',
      modifyWindowNs: windowOf(flags, 'modify-window'),
      maxSize: sizeOf(flags, 'max-size'),
      minSize: sizeOf(flags, 'min-size'),
      wholeFile: flags.given('whole-file'),
      snapshot: snapshotOf(flags),
      partialDir: flags.words('partial-dir').at(-1),
      tempDir: flags.words('temp-dir').at(-1),
      backupDir: flags.words('backup-dir').at(-1),
      suffix: flags.text('suffix'),
      compareDest: flags.words('compare-dest'),
      copyDest: flags.words('copy-dest'),
      linkDest: flags.words('link-dest'),
      missingSources: flags.on('delete-missing-args') ? 'delete' : flags.on('ignore-missing-args') ? 'ignore' : 'fail',
      maxDelete: boundOf(flags, 'max-delete'),
      allowMassDelete: flags.given('allow-mass-delete'),
      partial: flags.given('partial'),
      compression: compressionOf(flags),
      skipCompress: flags.text('skip-compress'),
      changing: flags.choice('changing', CHANGINGS) ?? 'fail',
      durability: flags.choice('durability', DURABILITIES) ?? 'none',
      retry: flags.number('retry') ?? 0,
      timeoutMs: millisecondsOf(flags, 'timeout'),
      stopAt: stopAtOf(flags),
      bwlimit: rateOf(flags, 'bwlimit'),
      lanes: flags.number('lanes', 1),
      lockWaitMs: millisecondsOf(flags, 'lock-wait'),
      profile: flags.text('profile') === undefined ? undefined : true,
    } satisfies TransferOptions,
  );
}
