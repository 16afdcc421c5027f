import { loggerCheck } from './logger.js';
import type { Logger } from './logger.js';
import type { ServerEventListener } from './server-events.js';
import type { ProfileListener } from './server-profile.js';
import { checkOptions, flag, group, instance, integer, isPlain, listOf, oneOf, text } from './check.js';
import type { Check, Checked, Checks } from './check.js';
import { ConfigError } from './errors.js';
import { IDENTITY_CHECKS, IDLE_TIMEOUT_MS, publicKey } from './settings.js';
import { CONGESTIONS } from './congestion.js';
import type { Congestion } from './congestion.js';
import type { IdentityOptions } from './options.js';
import { absolute, bytesOf, describe, pathBytes } from './paths.js';
import type { PathLike } from './paths.js';
import { recordOf } from './record.js';
import { DURABILITIES } from './words.js';
import type { Durability } from './words.js';

/** What a key may do below its roots. */
export type Operation = 'read' | 'write' | 'append' | 'delete' | 'owner' | 'special' | 'xattrs' | 'acls';

/** One client that may connect, and its scope. */
export interface AllowedClient {
  /** A name for logs, without blanks. */
  name: string;
  /** Its public key, `ed25519:BASE64`. */
  key: string;
  /**
   * What it may use: names of roots, or a root with a prefix.
   *
   * Default: every root.
   *
   * @example `roots: ['backup/laptop']`
   */
  roots?: readonly string[] | undefined;
  /**
   * What it may do there. `append` without `write` allows new names only.
   *
   * Default: `['read', 'write', 'delete']`.
   *
   * @example `operations: ['read']`
   */
  operations?: readonly Operation[] | undefined;
  /**
   * How many bytes it may store below its roots.
   *
   * Default: no such limit.
   *
   * @example `quotaBytes: 10 * 2 ** 30`
   */
  quotaBytes?: number | undefined;
  /**
   * How many entries it may store below its roots.
   *
   * Default: no such limit.
   *
   * @example `entries: 1_000_000`
   */
  entries?: number | undefined;
  /**
   * When its access ends: after that it gets no new connection, and its open ones are closed within 5 seconds.
   *
   * Default: it does not.
   *
   * @example `expires: new Date('2027-01-31')`
   */
  expires?: Date | undefined;
}

/** A folder that a server shares. */
export interface RootOptions {
  /** The folder. It must exist; it may be a symlink. */
  path: PathLike;
  /**
   * Refuse all writing below it, whatever rights a key has.
   *
   * Default: `false`.
   *
   * @example `roots: { site: { path: '/srv/site', readOnly: true } }`
   */
  readOnly?: boolean | undefined;
  /**
   * Store what needs root (owners, devices, ACLs, attributes of other namespaces) in attributes `user.rsync.%*`, and read it from
   * there, in every run, as if each client had asked for `remoteFakeSuper`. Keys need the same rights as without it.
   *
   * Default: `false`.
   *
   * @example `roots: { backup: { path: '/srv/backup', fakeSuper: true } }`
   */
  fakeSuper?: boolean | undefined;
  /**
   * Patterns of paths to hide from every client, which can then not list, read, write or delete them, as `--exclude` takes them: a
   * pattern that begins with `/` begins at the top of the root, and one with `+ ` in front exempts what it matches from those after
   * it.
   *
   * Default: none.
   *
   * @example `roots: { home: { path: '/home', exclude: ['.ssh/', '*.key'] } }`
   */
  exclude?: readonly (string | Uint8Array)[] | undefined;
  /**
   * Make symlinks below it lead nowhere: they are stored with `/rsyncd-munged/` in front of their targets, and sent to clients
   * without it.
   *
   * Default: `false`.
   *
   * @example `roots: { upload: { path: '/srv/upload', mungeLinks: true } }`
   */
  mungeLinks?: boolean | undefined;
  /**
   * The folder for keeping what clients replace, overwrite or delete here, whatever their rights and options; `true` means the
   * root's name with `.versions`, next to it. It must be on the root's file system and outside of every root.
   *
   * Default: nothing is kept, except by the clients' own options.
   *
   * @example `roots: { backup: { path: '/srv/backup', versions: '/srv/backup.versions' } }`
   */
  versions?: PathLike | true | undefined;
}

/** Options of `serve`. */
export interface ServeOptions {
  /**
   * The folders to share, by the names that clients use. There is no default root.
   *
   * @example `roots: { backup: '/srv/backup' }`
   */
  roots: Readonly<Record<string, PathLike | RootOptions>>;
  /**
   * Address and port for UDP and TCP, with an IPv6 address in brackets. `[::]` means every address, also of IPv4; port `0` any free
   * one.
   *
   * Default: `'127.0.0.1:0'`, which only this machine can reach. (The command line listens on `[::]:28792`.)
   *
   * @example `listen: '[::]:28792'`
   */
  listen?: string | undefined;
  /** The server's identity. Default: the key of this user, see {@link IdentityOptions}. */
  identity?: IdentityOptions | undefined;
  /**
   * The clients that may connect, besides those in `authorizedKeysPath`; a string is a line of such a file.
   *
   * Default: none.
   *
   * @example `allow: [{ name: 'laptop', key: 'ed25519:…', roots: ['backup/laptop'] }]`
   */
  allow?: readonly (AllowedClient | string)[] | undefined;
  /**
   * File of clients that may connect, one line each. It is read again when it changes; a client that was removed loses its
   * connections within 5 seconds.
   *
   * Default: none. (The command uses `authorized_keys` in the configuration folder, if it exists.)
   *
   * @example `authorizedKeysPath: '/etc/sparsync/authorized_keys'`
   */
  authorizedKeysPath?: string | undefined;
  /**
   * Certificates of a private CA in PEM form, for clients with a certificate instead of a key.
   *
   * Default: none.
   *
   * @example `clientCa: readFileSync('ca.pem', 'utf8')`
   */
  clientCa?: string | undefined;
  /**
   * Accept everybody. This is only possible on a loopback address.
   *
   * Default: `false`.
   *
   * @example `anonymous: true`
   */
  anonymous?: boolean | undefined;
  /**
   * The least durability of what is received; a request may ask for more. See `durability` of `sync`.
   *
   * Default: `'run'`.
   *
   * @example `durability: 'file'`
   */
  durability?: Durability | undefined;
  /**
   * The most transfers at the same time; further ones are asked to retry later (`ERR_SPARSYNC_CONNECT`, which `retry` does).
   *
   * Default: `64`. Range: 1 to 65,536.
   *
   * @example `maxSessions: 4`
   */
  maxSessions?: number | undefined;
  /**
   * The most transfers of one key at the same time, so that one client does not take all of `maxSessions`; further ones are asked
   * to retry later (`ERR_SPARSYNC_CONNECT`, which `retry` does).
   *
   * Default: `32`. Range: 1 to 65,536.
   *
   * @example `maxSessionsPerKey: 4`
   */
  maxSessionsPerKey?: number | undefined;
  /**
   * After this many milliseconds without any packet, a connection is lost.
   *
   * Default: `30_000`. Range: 100 to 3,600,000.
   *
   * @example `idleTimeoutMs: 10_000`
   */
  idleTimeoutMs?: number | undefined;
  /**
   * The congestion control of what the server sends; see `congestion` of {@link connect}.
   *
   * Default: `'auto'`.
   *
   * @example `congestion: 'cubic'`
   */
  congestion?: Congestion | undefined;
  /**
   * Also listen on TCP, at the same port, for clients that cannot use UDP.
   *
   * Default: `true`.
   *
   * @example `tcp: false`
   */
  tcp?: boolean | undefined;
  /**
   * A function that gets a record of where the time of each sync went, when it has ended, and of all of them together, every ten
   * seconds if something was served, and at the end. It is called in the event loop of this process, and must not throw.
   *
   * Default: none; only what clients ask for is measured.
   *
   * @example `profile: (record) => appendFileSync('profile.jsonl', JSON.stringify(record) + '\n')`
   */
  profile?: ProfileListener | undefined;
  /**
   * A function that gets an event for everything that happens: transfers that ended and what they did, refusals and their reasons,
   * keys that were read or cannot be. It is called in the event loop of this process, and must not throw.
   *
   * Default: none.
   *
   * @example `log: (event) => logger.info(event)`
   */
  log?: ServerEventListener | undefined;
  /**
   * A logger for the same events as `log`, with the functions `debug`, `info`, `warn` and `error`, which take an object and then a
   * text, as pino's do.
   *
   * Default: none.
   *
   * @example `logger: pino()`
   */
  logger?: Logger | undefined;
  /**
   * Collect metrics for a monitoring system, which `server.metrics()` returns.
   *
   * Default: `false`.
   *
   * @example `metrics: true`
   */
  metrics?: boolean | undefined;
  /**
   * The most connections at the same time, of all clients together; further ones are asked to retry later (`ERR_SPARSYNC_CONNECT`,
   * which `retry` does).
   *
   * Default: `1024`. Range: 1 to 65,536.
   *
   * @example `maxConnections: 200`
   */
  maxConnections?: number | undefined;
  /**
   * The most connections of one key at the same time; further ones are asked to retry later (`ERR_SPARSYNC_CONNECT`, which `retry`
   * does).
   *
   * Default: `16`. Range: 1 to 65,536.
   *
   * @example `maxConnectionsPerKey: 4`
   */
  maxConnectionsPerKey?: number | undefined;
  /**
   * The most connections at the same time from one address, or from one IPv6 /64 network; further ones are asked to retry later
   * (`ERR_SPARSYNC_CONNECT`, which `retry` does).
   *
   * Default: `1024`. Range: 1 to 65,536.
   *
   * @example `maxConnectionsPerAddress: 32`
   */
  maxConnectionsPerAddress?: number | undefined;
  /**
   * The most handshakes at the same time over QUIC; over TCP it is half as many. Packets of further ones are dropped, and clients
   * send them again. One network may have 32 at most, whatever this says.
   *
   * Default: `1024`. Range: 1 to 65,536.
   *
   * @example `maxHandshakes: 256`
   */
  maxHandshakes?: number | undefined;
  /**
   * Bytes of memory for received data that is not read yet, of all connections together; each may use 1 MiB besides. A lower value
   * slows down fast transfers over long distances, but refuses none.
   *
   * Default: `268_435_456` (256 MiB).
   *
   * @example `maxUnreadBytes: 64 * 2 ** 20`
   */
  maxUnreadBytes?: number | undefined;
  /**
   * The most bytes of content per second, of all transfers together, in both directions; `0` is no limit.
   *
   * Default: `0`.
   *
   * @example `bwlimit: 50_000_000`
   */
  bwlimit?: number | undefined;
  /**
   * The same for all transfers of one key together.
   *
   * Default: `0`.
   *
   * @example `bwlimitPerKey: 10_000_000`
   */
  bwlimitPerKey?: number | undefined;
  /**
   * Bytes that stay free on the file system of a root. A transfer ends with `ERR_SPARSYNC_NO_SPACE` before it uses them; what has
   * arrived stays.
   *
   * Default: `0`.
   *
   * @example `reserveSpace: 10 * 2 ** 30`
   */
  reserveSpace?: number | undefined;
  /**
   * Options of a run that no client may use, by their names here or on the command line: a run that asks for one is refused.
   *
   * Default: none.
   *
   * @example `refuse: ['delete', 'filter']`
   */
  refuse?: readonly string[] | undefined;
}

/** What a running server can change: what is not given stays as it is. */
export type ReloadOptions = Pick<ServeOptions, 'allow' | keyof Limits>;

/** Options of a server that were checked, with their defaults except for paths. */
export interface ServeSettings {
  readonly roots: readonly {
    readonly name: string;
    readonly path: Uint8Array;
    readonly readOnly: boolean;
    readonly fakeSuper: boolean;
    readonly exclude: readonly Uint8Array[];
    readonly mungeLinks: boolean;
    readonly versions: Uint8Array | undefined;
  }[];
  readonly listen: string;
  readonly identity: IdentityOptions;
  readonly authorizedKeys: readonly string[];
  readonly authorizedKeysPath: string | undefined;
  readonly clientCa: string | undefined;
  readonly anonymous: boolean;
  readonly durability: Durability;
  readonly limits: Limits;
  readonly idleTimeoutMs: number;
  readonly congestion: Congestion;
  readonly tcp: boolean;
  readonly profile: ProfileListener | undefined;
  readonly log: ServerEventListener | undefined;
  readonly logger: Logger | undefined;
  readonly metrics: boolean;
  readonly refuse: readonly string[];
}

/** What a key may be allowed to do. */
export const OPERATIONS: readonly [Operation, ...Operation[]] = [
  'read',
  'write',
  'append',
  'delete',
  'owner',
  'special',
  'xattrs',
  'acls',
];

const wordWithoutBlanks = instance<string>(
  (value): value is string => typeof value === 'string' && /^[^\s#,][^\s,]*$/.test(value),
  'a word without blanks and commas that does not begin with #',
);

/** What a client may do, but for where. */
export const SCOPE_CHECKS: Checks<Pick<AllowedClient, 'operations' | 'quotaBytes' | 'entries' | 'expires'>> = {
  operations: listOf(oneOf(...OPERATIONS)),
  quotaBytes: integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
  entries: integer(0, Number.MAX_SAFE_INTEGER, 'entries'),
  expires: instance<Date>((value): value is Date => value instanceof Date && !Number.isNaN(value.getTime()), 'a Date'),
};

const CLIENT_CHECKS: Checks<AllowedClient> = {
  name: wordWithoutBlanks,
  key: publicKey,
  roots: listOf(wordWithoutBlanks),
  ...SCOPE_CHECKS,
};

const allowedClient: Check<AllowedClient | string> = (value, where) => {
  // The engine checks a line, as it checks those of the file.
  if (typeof value === 'string' && !value.includes('\n')) return value;
  const { name, key, ...scope } = checkOptions<AllowedClient>(value, CLIENT_CHECKS, where);
  if (name === undefined || key === undefined) throw new ConfigError(`option ${where} needs a name and a key`);
  return { name, key, ...scope };
};

const isPath = (value: unknown): value is PathLike =>
  typeof value === 'string' || value instanceof Uint8Array || value instanceof URL;

const pattern = instance<string | Uint8Array>(
  (value): value is string | Uint8Array => typeof value === 'string' || value instanceof Uint8Array,
  'a pattern (string or Uint8Array)',
);

const ROOT_CHECKS: Checks<RootOptions> = {
  path: instance<PathLike>(isPath, 'a path (string, Uint8Array or file: URL)'),
  readOnly: flag,
  fakeSuper: flag,
  exclude: listOf(pattern),
  mungeLinks: flag,
  versions: instance<PathLike | true>(
    (value): value is PathLike | true => value === true || isPath(value),
    'a path (string, Uint8Array or file: URL), or true',
  ),
};

/** The default limits of a server. */
export const LIMITS = {
  maxSessions: 64,
  maxSessionsPerKey: 32,
  maxConnections: 1024,
  maxConnectionsPerKey: 16,
  maxConnectionsPerAddress: 1024,
  maxHandshakes: 1024,
  maxUnreadBytes: 268_435_456,
  bwlimit: 0,
  bwlimitPerKey: 0,
  reserveSpace: 0,
} as const;

/** The limits of a server. */
export type Limits = Readonly<Record<keyof typeof LIMITS, number>>;

// An object's keys are known to be no more than what was written there.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const LIMIT_NAMES = Object.keys(LIMITS) as (keyof Limits)[];

const LIMIT_CHECKS: Checks<Limits> = {
  ...recordOf(['maxSessions', 'maxSessionsPerKey'] as const, () => integer(1, 65_536, 'sessions')),
  ...recordOf(['maxConnections', 'maxConnectionsPerKey', 'maxConnectionsPerAddress'] as const, () =>
    integer(1, 65_536, 'connections'),
  ),
  maxHandshakes: integer(1, 65_536, 'handshakes'),
  ...recordOf(['maxUnreadBytes', 'reserveSpace'] as const, () => integer(0, Number.MAX_SAFE_INTEGER, 'bytes')),
  ...recordOf(['bwlimit', 'bwlimitPerKey'] as const, () => integer(0, Number.MAX_SAFE_INTEGER, 'bytes per second')),
};

/** Every limit, of which `valueOf` may not say anything. */
export function limitsFrom(valueOf: (name: keyof Limits) => number | undefined): Limits {
  return recordOf(LIMIT_NAMES, (name) => valueOf(name) ?? LIMITS[name]);
}

const SERVE_CHECKS: Checks<ServeOptions> = {
  roots: instance<ServeOptions['roots']>(
    (value): value is ServeOptions['roots'] => isPlain(value),
    'an object of folders by name',
  ),
  listen: instance<string>(
    (value): value is string => typeof value === 'string' && /^(\[[0-9A-Fa-f:.%\w]+\]|[^:\s[\]]+):\d{1,5}$/.test(value),
    "an address and port, as in '[::]:28792'",
  ),
  identity: group(IDENTITY_CHECKS),
  allow: listOf(allowedClient),
  authorizedKeysPath: text('the path of a file'),
  clientCa: text('PEM text'),
  anonymous: flag,
  durability: oneOf(...DURABILITIES),
  idleTimeoutMs: integer(100, 3_600_000, 'milliseconds'),
  metrics: flag,
  ...LIMIT_CHECKS,
  congestion: oneOf(...CONGESTIONS),
  tcp: flag,
  refuse: listOf(wordWithoutBlanks),
  profile: instance<ProfileListener>((value): value is ProfileListener => typeof value === 'function', 'a function'),
  logger: loggerCheck,
  log: instance<ServerEventListener>(
    (value): value is ServerEventListener => typeof value === 'function',
    'a function',
  ),
};

/** Checks the options of `reload`. */
export function reloadSettings(options: unknown): {
  authorizedKeys: string[] | undefined;
  limits: Checked<Omit<ReloadOptions, 'allow'>>;
} {
  const checks: Checks<ReloadOptions> = { allow: SERVE_CHECKS.allow, ...LIMIT_CHECKS };
  const { allow: clients, ...limits } = checkOptions<ReloadOptions>(options, checks, 'options');
  return { authorizedKeys: clients?.map(lineOf), limits };
}

function lineOf(client: AllowedClient | string): string {
  return typeof client === 'string' ? client : authorizedKeysLine(client);
}

/** Checks the options of `serve`. */
export function serveSettings(options: unknown): ServeSettings {
  const given = checkOptions<ServeOptions>(options, SERVE_CHECKS, 'options');
  const roots = Object.entries(given.roots ?? {}).map(([name, root]) => checkRoot(name, root));
  if (roots.length === 0) {
    throw new ConfigError("option roots must name at least one folder, as in { backup: '/srv/backup' }");
  }
  return {
    roots,
    listen: given.listen ?? '127.0.0.1:0',
    identity: given.identity ?? {},
    authorizedKeys: (given.allow ?? []).map(lineOf),
    authorizedKeysPath: given.authorizedKeysPath,
    clientCa: given.clientCa,
    anonymous: given.anonymous ?? false,
    durability: given.durability ?? 'run',
    limits: limitsFrom((name) => given[name]),
    idleTimeoutMs: given.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    congestion: given.congestion ?? 'auto',
    tcp: given.tcp ?? true,
    profile: given.profile,
    log: given.log,
    logger: given.logger,
    metrics: given.metrics ?? false,
    refuse: given.refuse ?? [],
  };
}

function checkRoot(name: string, root: unknown): ServeSettings['roots'][number] {
  const where = `roots.${name}`;
  if (name === '' || name.includes('/') || name === '.' || name === '..') {
    throw new ConfigError(`option roots has the name ${describe(name)}: it must be one path component of a URL`);
  }
  const given: Checked<RootOptions> = isPath(root) ? { path: root } : checkOptions(root, ROOT_CHECKS, where);
  if (given.path === undefined) throw new ConfigError(`option ${where}.path is missing`);
  const path = absolute(pathBytes(given.path, where));
  return {
    name,
    path,
    readOnly: given.readOnly ?? false,
    fakeSuper: given.fakeSuper ?? false,
    exclude: (given.exclude ?? []).map((each) => (typeof each === 'string' ? bytesOf(each) : each)),
    mungeLinks: given.mungeLinks ?? false,
    versions: versionsOf(given.versions, path, where),
  };
}

/** Where versions are kept of the root at `path`. */
function versionsOf(given: PathLike | true | undefined, path: Uint8Array, where: string): Uint8Array | undefined {
  if (given !== true) return given === undefined ? undefined : absolute(pathBytes(given, `${where}.versions`));
  const beside = versionsBeside(path);
  if (beside === undefined) {
    throw new ConfigError(`option ${where}.versions must name a folder: there is none beside /`);
  }
  return beside;
}

/** The folder of versions beside the root at `path`, which has none where it is the top of the file system. */
export function versionsBeside(path: Uint8Array): Uint8Array | undefined {
  const end = path.findLastIndex((byte) => byte !== 0x2f) + 1;
  return end === 0 ? undefined : Buffer.concat([path.subarray(0, end), Buffer.from('.versions')]);
}

/** A moment as a line has it, to the second. */
export function moment(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A client as a line of an authorised-keys file. */
function authorizedKeysLine({ name, key, ...scope }: AllowedClient): string {
  return [name, key, ...scopeWords(scope)].join(' ');
}

/** What a client may do as such a line says it, behind its name and key. */
export function scopeWords(scope: Omit<AllowedClient, 'name' | 'key'>): string[] {
  const { roots, operations, quotaBytes, entries, expires } = scope;
  const words = (roots ?? []).map((root) => `root=${root}`);
  if (operations !== undefined) words.push(`allow=${operations.join(',')}`);
  if (quotaBytes !== undefined) words.push(`quota=${quotaBytes}`);
  if (entries !== undefined) words.push(`entries=${entries}`);
  if (expires !== undefined) words.push(`expires=${moment(expires)}`);
  return words;
}
