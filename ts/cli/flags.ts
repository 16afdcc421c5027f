import { CONGESTIONS } from '../congestion.js';
import { DURABILITIES } from '../words.js';
import type { Flag } from './parse.js';
import { LOG_FORMATS } from './server-log.js';
import {
  CONFIG_FLAG,
  CONNECTING_FLAGS,
  CONTIMEOUT_FLAG,
  HELP_FLAG,
  IDENTITY_FLAG,
  IDLE_TIMEOUT_FLAG,
  JSON_FLAG,
  KNOWN_HOSTS_FLAG,
  QUIET_FLAG,
  RSH_FLAG,
  TIMEOUT_FLAG,
  VERBOSE_FLAG,
} from './transfer-flags.js';

const OUTPUT = 'Output';
const SERVER = 'Server';

/** The heading of what `join --via-ssh` takes. */
export const SSH = 'By ssh';

const PID_FILE_FLAG: Flag = {
  name: 'pid-file',
  value: 'FILE',
  category: SERVER,
  help: 'the file for the process ID of the server',
};

/** Flags of `serve`. */
export const SERVE_FLAGS: readonly Flag[] = [
  {
    name: 'root',
    value: 'NAME=PATH',
    many: true,
    category: SERVER,
    help: 'serve the folder PATH as NAME; needed at least once',
  },
  {
    name: 'listen',
    value: 'ADDR',
    category: SERVER,
    help: 'address and port, of UDP and TCP (default: [::]:28792, port 0: any free one)',
  },
  {
    name: 'allow',
    value: 'LINE',
    many: true,
    category: SERVER,
    help: 'allow a client, as a line of authorized_keys does: "NAME KEY root=ROOT/PREFIX allow=read,write"',
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
    help: 'allow clients with a certificate of this private CA (PEM)',
  },
  { name: 'anonymous', category: SERVER, help: 'allow everybody; only on a loopback address' },
  {
    name: 'exclude',
    value: 'PATTERN',
    many: true,
    category: SERVER,
    help: 'hide what matches PATTERN, in every root: no client can list, read, write or delete it',
  },
  {
    name: 'refuse',
    value: 'OPTION',
    many: true,
    category: SERVER,
    help: 'refuse transfers with this option, as in --refuse=delete',
  },
  {
    name: 'munge-links',
    category: SERVER,
    help: 'make symlinks lead nowhere below every root: they are stored munged, and sent as they were',
  },
  {
    name: 'versions',
    value: 'DIR',
    bare: '',
    category: SERVER,
    help: 'keep what clients replace or delete below DIR/NAME, out of their reach (default: PATH.versions)',
  },
  { name: 'read-only', category: SERVER, help: 'write nothing below any root' },
  {
    name: 'fake-super',
    category: SERVER,
    help: 'in every transfer: store what needs root in attributes user.rsync.%*, and read it from there',
  },
  {
    name: 'durability',
    value: 'LEVEL',
    choices: DURABILITIES,
    category: SERVER,
    help: 'least durability: none, run or file (default: run)',
  },
  { name: 'max-sessions', value: 'NUM', category: SERVER, help: 'transfers at the same time (default: 64)' },
  { name: 'max-sessions-per-key', value: 'NUM', category: SERVER, help: 'the same of one key (default: 32)' },
  {
    name: 'congestion',
    value: 'NAME',
    choices: CONGESTIONS,
    category: SERVER,
    help: 'congestion control of what the server sends: auto, bbr or cubic (default: auto)',
  },
  { name: 'no-tcp', category: SERVER, help: 'listen on UDP alone' },
  IDLE_TIMEOUT_FLAG,
  {
    name: 'grace',
    value: 'SECONDS',
    category: SERVER,
    help: 'how long transfers may go on after SIGTERM (default: 10)',
  },
  {
    name: 'profile',
    value: 'FILE',
    category: SERVER,
    help: 'append to FILE where the time of each transfer, and of all, went (see "sparsync profile report")',
  },
  {
    name: 'log-file',
    value: 'FILE',
    category: SERVER,
    help: 'append the log to FILE, which SIGHUP reopens (default: stderr)',
  },
  {
    name: 'metrics',
    value: 'ADDR:PORT',
    category: SERVER,
    help: 'serve /metrics (for Prometheus) and /healthz over HTTP there',
  },
  { name: 'max-connections', value: 'NUM', category: SERVER, help: 'connections at the same time (default: 1024)' },
  {
    name: 'max-connections-per-key',
    value: 'NUM',
    category: SERVER,
    help: 'the same of one key (default: 16)',
  },
  {
    name: 'max-connections-per-address',
    value: 'NUM',
    category: SERVER,
    help: 'the same from one address, or one IPv6 network (default: 1024)',
  },
  {
    name: 'max-handshakes',
    value: 'NUM',
    category: SERVER,
    help: 'handshakes at the same time (default: 1024)',
  },
  {
    name: 'max-unread-bytes',
    value: 'SIZE',
    category: SERVER,
    help: 'memory for received data that is not read yet, beyond 1 MiB per connection (default: 256M)',
  },
  {
    name: 'bwlimit',
    value: 'RATE',
    category: SERVER,
    help: 'KiB of content per second, of all transfers together (default: 0, no limit)',
  },
  {
    name: 'bwlimit-per-key',
    value: 'RATE',
    category: SERVER,
    help: 'the same of one key (default: 0, no limit)',
  },
  {
    name: 'reserve-space',
    value: 'SIZE',
    category: SERVER,
    help: 'stop a transfer before less space than this is free (default: 0, no limit)',
  },
  PID_FILE_FLAG,
  { name: 'print-unit', category: SERVER, help: 'print a systemd unit for this command, and exit' },
  {
    name: 'log-format',
    value: 'FORMAT',
    choices: LOG_FORMATS,
    category: SERVER,
    help: 'form of the log: text or json (default: text)',
  },
  IDENTITY_FLAG,
  CONFIG_FLAG,
  { ...VERBOSE_FLAG, help: 'also log connections and requests for lists and metadata' },
  { ...QUIET_FLAG, help: 'log only refusals and errors' },
  JSON_FLAG,
  HELP_FLAG,
];

const AUTHORIZED_KEYS_FLAG: Flag = {
  name: 'authorized-keys',
  value: 'FILE',
  category: SERVER,
  help: "the file of allowed clients (default: this user's authorized_keys)",
};

/** What a client may do, as `invite` takes it. */
const scopeFlags = (category: string): readonly Flag[] => [
  { name: 'root', value: 'ROOT', many: true, category, help: 'what the client may use (default: every root)' },
  { name: 'prefix', value: 'PATH', category, help: 'the path below that root that the client is confined to' },
  { name: 'allow', value: 'RIGHT,…', category, help: 'what the client may do there (default: read,write,delete)' },
  { name: 'quota', value: 'SIZE', category, help: 'how much it may store there' },
  { name: 'entries', value: 'NUM', category, help: 'how many entries it may have there' },
  { name: 'expires', value: 'WHEN', category, help: 'when its access ends: 90d, 12h, 2030-01-31' },
];

/** Flags of `invite`. */
export const INVITE_FLAGS: readonly Flag[] = [
  ...scopeFlags(SERVER),
  {
    name: 'address',
    value: 'HOST[:PORT]',
    category: SERVER,
    help: "the address for the client to connect to (default: this host's name)",
  },
  { name: 'credential', category: SERVER, help: 'print a value for SPARSYNC_CREDENTIAL instead of an invitation' },
  AUTHORIZED_KEYS_FLAG,
  { ...IDENTITY_FLAG, help: "the server's private key (default: this user's key.pem)" },
  CONFIG_FLAG,
  JSON_FLAG,
  HELP_FLAG,
];

/** Flags of `join`. */
export const JOIN_FLAGS: readonly Flag[] = [
  {
    name: 'via-ssh',
    value: '[USER@]HOST',
    category: SSH,
    help: 'run "sparsync invite" there over ssh: no invitation has to be pasted',
  },
  { name: 'name', value: 'NAME', category: SSH, help: 'with --via-ssh: the name of this client there' },
  ...scopeFlags(SSH),
  {
    name: 'sparsync-path',
    value: 'PROGRAM',
    category: SSH,
    help: 'with --via-ssh: the sparsync command there (default: sparsync)',
  },
  { ...RSH_FLAG, category: SSH, help: 'with --via-ssh: the remote shell (default: ssh)' },
  IDENTITY_FLAG,
  KNOWN_HOSTS_FLAG,
  CONTIMEOUT_FLAG,
  CONFIG_FLAG,
  JSON_FLAG,
  HELP_FLAG,
];

/** Flags of `keys`. */
export const KEYS_FLAGS: readonly Flag[] = [
  { name: 'after', value: 'TIME', category: SERVER, help: 'rotate: when the next key comes into force (default: 30d)' },
  { name: 'now', category: SERVER, help: 'rotate: the next key comes into force now' },
  { name: 'cancel', category: SERVER, help: 'rotate: take the next key back' },
  { name: 'status', category: SERVER, help: 'rotate: show the key in force and the next one' },
  IDENTITY_FLAG,
  AUTHORIZED_KEYS_FLAG,
  CONFIG_FLAG,
  JSON_FLAG,
  HELP_FLAG,
];

/** Flags of `trust`. */
export const TRUST_FLAGS: readonly Flag[] = [KNOWN_HOSTS_FLAG, CONFIG_FLAG, JSON_FLAG, HELP_FLAG];

/** Flags of `profile`. */
export const PROFILE_FLAGS: readonly Flag[] = [
  { name: 'output', value: 'FILE', category: OUTPUT, help: 'write a page for a browser (HTML)' },
  { name: 'against', value: 'FILE', category: OUTPUT, help: 'compare with another profile' },
  { name: 'last', value: 'NUM', category: OUTPUT, help: 'show the last NUM syncs of all files (default: 20)' },
  JSON_FLAG,
  HELP_FLAG,
];

/** Flags of `doctor`. */
export const DOCTOR_FLAGS: readonly Flag[] = [...CONNECTING_FLAGS, CONFIG_FLAG, JSON_FLAG, HELP_FLAG];

/** Flags of `list`. */
export const LIST_FLAGS: readonly Flag[] = [
  { ...TIMEOUT_FLAG, help: 'give up when no part of an answer arrives for so long (default: 60; 0: never)' },
  ...CONNECTING_FLAGS,
  CONFIG_FLAG,
  JSON_FLAG,
  HELP_FLAG,
];

export const START_TIMEOUT_FLAG: Flag = {
  name: 'start-timeout',
  value: 'SECONDS',
  category: SERVER,
  help: 'how long the server may take to listen before it is stopped (default: 60)',
};

/** Flags of `server start`. */
export const START_FLAGS: readonly Flag[] = [...SERVE_FLAGS, START_TIMEOUT_FLAG];

export const STOP_TIMEOUT_FLAG: Flag = {
  name: 'stop-timeout',
  value: 'SECONDS',
  category: SERVER,
  help: 'stop: how long to wait for the server to end (default: 15 more than its --grace)',
};

/** Flags of `server status` and `server stop`. */
export const SERVER_FLAGS: readonly Flag[] = [PID_FILE_FLAG, STOP_TIMEOUT_FLAG, CONFIG_FLAG, JSON_FLAG, HELP_FLAG];

/** Flags of `completion`. */
export const COMPLETION_FLAGS: readonly Flag[] = [HELP_FLAG];

/** Flags of `config`. */
export const CONFIG_FLAGS: readonly Flag[] = [
  { name: 'origin', category: OUTPUT, help: 'show which line of which file each setting is from' },
  CONFIG_FLAG,
  JSON_FLAG,
  HELP_FLAG,
];
