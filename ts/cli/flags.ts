import type { Flag } from './parse.js';
import { selectionFlags } from './selection.js';

const TRANSFER = 'What is transferred';
const COMPARE = 'How it is compared';
const DELETE = 'Deleting';
const OUTPUT = 'Output';
const CONNECTION = 'Connection and trust';
const RUN = 'How it runs';
const SERVER = 'Server';

const HELP: Flag = { name: 'help', category: OUTPUT, help: 'show this help' };
const VERSION: Flag = { name: 'version', short: 'V', category: OUTPUT, help: 'show the version' };
const JSON_LINES: Flag = { name: 'json', category: OUTPUT, help: 'one JSON object per line on stdout (schema 1)' };
const VERBOSE: Flag = { name: 'verbose', short: 'v', category: OUTPUT, help: 'list what is done, and a summary' };
const QUIET: Flag = { name: 'quiet', short: 'q', category: OUTPUT, help: 'no warnings, errors only' };
const IDENTITY: Flag = {
  name: 'identity',
  value: 'FILE',
  category: CONNECTION,
  help: "the private key to show (default: this user's key.pem, made when missing)",
};

/** Flags of every command that connects. */
const CONNECTING: readonly Flag[] = [
  IDENTITY,
  {
    name: 'pin',
    value: 'KEY',
    many: true,
    category: CONNECTION,
    help: 'trust the server only with this key (ed25519:…)',
  },
  {
    name: 'known-hosts',
    value: 'FILE',
    category: CONNECTION,
    help: "pinned keys by host (default: this user's known_hosts)",
  },
  {
    name: 'ca',
    value: 'FILE',
    category: CONNECTION,
    help: 'trust servers with a certificate of this private CA (PEM)',
  },
  { name: 'contimeout', value: 'SECONDS', category: CONNECTION, help: 'time for connecting (default: 10)' },
];

/** Flags that say what is compared. */
const SELECTING: readonly Flag[] = [
  {
    name: 'archive',
    short: 'a',
    category: TRANSFER,
    implies: ['recursive', 'links', 'perms', 'times', 'group', 'owner', 'devices', 'specials'],
    help: 'the same as -rlptgoD: a faithful copy',
  },
  { name: 'recursive', short: 'r', category: TRANSFER, help: 'go into directories; without it they are skipped' },
  { name: 'links', short: 'l', category: TRANSFER, help: 'carry symlinks as symlinks' },
  { name: 'perms', short: 'p', category: TRANSFER, help: 'carry modes' },
  { name: 'times', short: 't', category: TRANSFER, help: 'carry modification times' },
  { name: 'group', short: 'g', category: TRANSFER, help: 'carry groups, where permitted' },
  { name: 'owner', short: 'o', category: TRANSFER, help: 'carry owners, where permitted' },
  { name: 'xattrs', short: 'X', category: TRANSFER, help: 'carry extended attributes of the namespace user.' },
  {
    name: 'devices',
    category: TRANSFER,
    help: 'accepted; devices are reported and left out',
  },
  {
    name: 'specials',
    category: TRANSFER,
    help: 'make FIFOs, where permitted; sockets are reported and left out (-D: --devices --specials)',
  },
  {
    name: 'devices-specials',
    short: 'D',
    category: TRANSFER,
    implies: ['devices', 'specials'],
    hidden: true,
    help: '',
  },
];

const EXCLUDE: Flag = {
  name: 'exclude',
  value: 'NAME',
  many: true,
  category: TRANSFER,
  help: 'leave out what has this name, on both sides and at any depth (no pattern)',
};

/** Flags of a sync. */
export const SYNC_FLAGS: readonly Flag[] = [
  ...SELECTING,
  EXCLUDE,
  { name: 'checksum', short: 'c', category: COMPARE, help: 'compare content instead of size and time' },
  { name: 'size-only', category: COMPARE, help: 'compare the size alone' },
  {
    name: 'modify-window',
    value: 'SECONDS',
    category: COMPARE,
    help: 'times this far apart are equal; -1 compares nanoseconds (default: 0)',
  },
  ...selectionFlags(COMPARE),
  { name: 'delete', category: DELETE, help: 'remove from DEST what SRC does not have' },
  { name: 'max-delete', value: 'NUM', category: DELETE, help: 'delete no more than NUM entries' },
  {
    name: 'allow-mass-delete',
    category: DELETE,
    help: 'allow deletions that look like an accident (or SPARSYNC_GUARDS=off)',
  },
  { name: 'force', category: DELETE, help: 'replace directories that are not empty by what SRC has there' },
  { name: 'dry-run', short: 'n', category: RUN, help: 'find out what would be done, write nothing' },
  {
    name: 'partial',
    category: RUN,
    help: 'keep verified parts of large files for the next run (default; --no-partial)',
  },
  {
    name: 'compress',
    short: 'z',
    value: 'WHEN',
    bare: 'always',
    category: RUN,
    help: 'auto, always or never (default: auto)',
  },
  {
    name: 'durability',
    value: 'LEVEL',
    category: RUN,
    help: 'what is on disk at the end: none, run or file (default: none)',
  },
  { name: 'retry', value: 'NUM', category: RUN, help: 'try NUM times more when the connection fails (default: 0)' },
  {
    name: 'timeout',
    value: 'SECONDS',
    category: RUN,
    help: 'give up when no work is done for so long (default: 60; 0: never)',
  },
  { name: 'lanes', value: 'NUM', category: RUN, help: 'readers and writers side by side, 1 to 4 (default: 2)' },
  {
    name: 'lock-wait',
    value: 'SECONDS',
    category: RUN,
    help: 'wait for another run on the same destination (default: 0)',
  },
  VERBOSE,
  QUIET,
  { name: 'itemize-changes', short: 'i', category: OUTPUT, help: 'list each change and why' },
  { name: 'progress', category: OUTPUT, help: 'show progress on stderr' },
  { name: 'partial-progress', short: 'P', category: OUTPUT, implies: ['partial', 'progress'], hidden: true, help: '' },
  { name: 'stats', category: OUTPUT, help: 'show counters at the end' },
  {
    name: 'profile',
    value: 'FILE',
    category: OUTPUT,
    help: 'add to FILE where the time of both ends went (see "sparsync profile report")',
  },
  { name: 'human-readable', short: 'h', category: OUTPUT, help: 'show sizes with units' },
  JSON_LINES,
  HELP,
  VERSION,
  ...CONNECTING,
];

/** Flags of `verify`. */
export const VERIFY_FLAGS: readonly Flag[] = [
  { name: 'links', short: 'l', category: COMPARE, help: 'compare symlinks (default; --no-links)' },
  { name: 'specials', category: COMPARE, help: 'compare FIFOs (default; --no-specials)' },
  { name: 'perms', short: 'p', category: COMPARE, help: 'compare modes (default; --no-perms)' },
  { name: 'times', short: 't', category: COMPARE, help: 'compare modification times (default; --no-times)' },
  { name: 'group', short: 'g', category: COMPARE, help: 'compare groups' },
  { name: 'owner', short: 'o', category: COMPARE, help: 'compare owners' },
  { name: 'xattrs', short: 'X', category: COMPARE, help: 'compare extended attributes of the namespace user.' },
  { ...EXCLUDE, category: COMPARE },
  {
    name: 'modify-window',
    value: 'SECONDS',
    category: COMPARE,
    help: 'times this far apart are equal; -1 compares nanoseconds (default: 0)',
  },
  { name: 'retry', value: 'NUM', category: RUN, help: 'try NUM times more when the connection fails (default: 0)' },
  {
    name: 'timeout',
    value: 'SECONDS',
    category: RUN,
    help: 'give up when no work is done for so long (default: 60; 0: never)',
  },
  QUIET,
  JSON_LINES,
  HELP,
  ...CONNECTING,
];

/** Flags of `serve`. */
export const SERVE_FLAGS: readonly Flag[] = [
  {
    name: 'root',
    value: 'NAME=PATH',
    many: true,
    category: SERVER,
    help: 'offer the folder PATH as NAME; needed at least once',
  },
  {
    name: 'listen',
    value: 'ADDR',
    category: SERVER,
    help: 'address and UDP port (default: [::]:28792, port 0: any free one)',
  },
  {
    name: 'allow',
    value: 'NAME=KEY[,root=…][,allow=…]',
    many: true,
    category: SERVER,
    help: 'let the client with this key in, within this scope (operations joined with +)',
  },
  {
    name: 'authorized-keys',
    value: 'FILE',
    category: SERVER,
    help: "clients that may connect (default: this user's authorized_keys, if it is there)",
  },
  {
    name: 'client-ca',
    value: 'FILE',
    category: SERVER,
    help: 'let clients with a certificate of this private CA in (PEM)',
  },
  { name: 'anonymous', category: SERVER, help: 'let anybody in; only on a loopback address' },
  { name: 'read-only', category: SERVER, help: 'nothing is written below any root' },
  { name: 'durability', value: 'LEVEL', category: SERVER, help: 'least durability: none, run or file (default: run)' },
  { name: 'max-sessions', value: 'NUM', category: SERVER, help: 'transfers at the same time (default: 64)' },
  {
    name: 'grace',
    value: 'SECONDS',
    category: SERVER,
    help: 'time for transfers to finish after SIGTERM (default: 10)',
  },
  {
    name: 'profile',
    value: 'FILE',
    category: SERVER,
    help: 'add to FILE where the time of each transfer went, and of all together (see "sparsync profile report")',
  },
  IDENTITY,
  VERBOSE,
  JSON_LINES,
  HELP,
];

/** Flags of `keys`. */
export const KEYS_FLAGS: readonly Flag[] = [IDENTITY, JSON_LINES, HELP];

/** Flags of `trust`. */
export const TRUST_FLAGS: readonly Flag[] = [
  { name: 'forget', category: CONNECTION, help: 'remove the pins of the host' },
  {
    name: 'known-hosts',
    value: 'FILE',
    category: CONNECTION,
    help: "the file of pins (default: this user's known_hosts)",
  },
  JSON_LINES,
  HELP,
];

/** Flags of `profile`. */
export const PROFILE_FLAGS: readonly Flag[] = [
  { name: 'output', value: 'FILE', category: OUTPUT, help: 'write a page for a browser (HTML)' },
  { name: 'against', value: 'FILE', category: OUTPUT, help: 'show the figures beside those of another profile' },
  { name: 'last', value: 'NUM', category: OUTPUT, help: 'show the last NUM syncs of all files together (default: 20)' },
  JSON_LINES,
  HELP,
];

/** Flags of `doctor`. */
export const DOCTOR_FLAGS: readonly Flag[] = [...CONNECTING, JSON_LINES, HELP];

/** rsync's flags that this command does not have, and why. Silence about them could lose data. */
export const FOREIGN_FLAGS: Readonly<Record<string, string>> = {
  H: 'hard links are copied as separate files',
  'hard-links': 'hard links are copied as separate files',
  A: 'ACLs are not carried',
  acls: 'ACLs are not carried',
  S: 'holes in files are not carried',
  sparse: 'holes in files are not carried',
  e: 'transfers go over QUIC to a sparsync server, not over a remote shell',
  rsh: 'transfers go over QUIC to a sparsync server, not over a remote shell',
  include: 'the only filter is --exclude=NAME',
  filter: 'the only filter is --exclude=NAME',
  f: 'the only filter is --exclude=NAME',
  inplace: 'files are always written beside their target and renamed, so that none is ever torn',
  append: 'files are always written beside their target and renamed, so that none is ever torn',
  'remove-source-files': 'sources are never removed',
  L: 'symlinks are never followed',
  'copy-links': 'symlinks are never followed',
  bwlimit: 'there is no rate limit',
  connections:
    'one connection takes all that two cores give (docs/performance.md has the figures); --lanes spreads the work',
  'parallel-files': 'files are read and written by lanes: --lanes',
  'chunk-size': 'packs of 256 KiB are as fast as any (docs/performance.md has the figures)',
  'compression-level': 'LZ4 has one level; --compress says when',
  'cold-start': 'a destination that is missing or empty is noticed, and granted everything, by itself',
  'max-stream-payload': 'streams have no largest payload: content travels in packs of 256 KiB',
};
