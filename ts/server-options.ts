import { loggerCheck } from './logger.js';
import type { Logger } from './logger.js';
import type { ServerEventListener } from './server-events.js';
import type { ProfileListener } from './server-profile.js';
import { checkOptions, flag, group, instance, integer, isPlain, listOf, oneOf, text } from './check.js';
import type { Check, Checked, Checks } from './check.js';
import { ConfigError } from './errors.js';
import { IDENTITY_CHECKS, publicKey } from './settings.js';
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
   * What it may touch: names of roots, or a root with a prefix.
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
   * The most bytes that it may have stored below its roots.
   *
   * Default: no such limit.
   *
   * @example `quotaBytes: 10 * 2 ** 30`
   */
  quotaBytes?: number | undefined;
  /**
   * The most entries that it may have stored below its roots.
   *
   * Default: no such limit.
   *
   * @example `entries: 1_000_000`
   */
  entries?: number | undefined;
  /**
   * When it ends: from then on it gets no new connection, and those that it has are ended within 5 seconds.
   *
   * Default: it does not.
   *
   * @example `expires: new Date('2027-01-31')`
   */
  expires?: Date | undefined;
}

/** A folder that a server offers. */
export interface RootOptions {
  /** The folder. It must exist; it may be a symlink. */
  path: PathLike;
  /**
   * Nothing is written below it, whatever a key may do elsewhere.
   *
   * Default: `false`.
   *
   * @example `roots: { site: { path: '/srv/site', readOnly: true } }`
   */
  readOnly?: boolean | undefined;
  /**
   * Store what takes root (owners, devices, ACLs, attributes of other namespaces) in attributes `user.rsync.%`, and read it there, in
   * every run, as if each client had asked for `remoteFakeSuper`. Keys need the same rights as without it.
   *
   * Default: `false`.
   *
   * @example `roots: { backup: { path: '/srv/backup', fakeSuper: true } }`
   */
  fakeSuper?: boolean | undefined;
  /**
   * Patterns of paths that no client lists, reads, writes, deletes or asks about, as `--exclude` takes them: one that begins
   * with `/` begins at the top of the root, and `+ ` before one takes what it matches out of those behind it.
   *
   * Default: none.
   *
   * @example `roots: { home: { path: '/home', exclude: ['.ssh/', '*.key'] } }`
   */
  exclude?: readonly (string | Uint8Array)[] | undefined;
  /**
   * Symlinks lead nowhere below it: those that clients send are written with `/rsyncd-munged/` before their targets, and those
   * that clients get are read without.
   *
   * Default: `false`.
   *
   * @example `roots: { upload: { path: '/srv/upload', mungeLinks: true } }`
   */
  mungeLinks?: boolean | undefined;
  /**
   * The folder that keeps what clients replace, write over or delete here, whatever their rights and options; `true` is the one beside
   * the root with `.versions` behind its name. It is on the root's file system, and outside of every root.
   *
   * Default: nothing is kept but what a client keeps itself.
   *
   * @example `roots: { backup: { path: '/srv/backup', versions: '/srv/backup.versions' } }`
   */
  versions?: PathLike | true | undefined;
}

/** Options of `serve`. */
export interface ServeOptions {
  /**
   * The folders that are offered, by the names under which clients ask for them. There is no default root.
   *
   * @example `roots: { backup: '/srv/backup' }`
   */
  roots: Readonly<Record<string, PathLike | RootOptions>>;
  /**
   * Address and port, of UDP and of TCP, an IPv6 address in brackets. `[::]` is every address, IPv4 as well; port `0` is any free one.
   *
   * Default: `'127.0.0.1:0'`, which only this machine can reach. (The command line listens on `[::]:28792`.)
   *
   * @example `listen: '[::]:28792'`
   */
  listen?: string | undefined;
  /** Who this server is. Default: the key of this user, see {@link IdentityOptions}. */
  identity?: IdentityOptions | undefined;
  /**
   * The clients that may connect, besides those in `authorizedKeysPath`; a text is a line as it stands there.
   *
   * Default: none.
   *
   * @example `allow: [{ name: 'laptop', key: 'ed25519:…', roots: ['backup/laptop'] }]`
   */
  allow?: readonly (AllowedClient | string)[] | undefined;
  /**
   * File of clients that may connect, one line each. It is read again when it changes, and a client that is no longer in
   * it loses its connections within 5 seconds.
   *
   * Default: none. (The command line uses `authorized_keys` in the configuration folder when it is there.)
   *
   * @example `authorizedKeysPath: '/etc/sparsync/authorized_keys'`
   */
  authorizedKeysPath?: string | undefined;
  /**
   * Certificates of a private CA in PEM form, for clients that show a certificate instead of a key.
   *
   * Default: none.
   *
   * @example `clientCa: readFileSync('ca.pem', 'utf8')`
   */
  clientCa?: string | undefined;
  /**
   * Let anybody in. Only possible on a loopback address.
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
   * The most transfers at the same time; further ones are told to come again (`ERR_SPARSYNC_CONNECT`, which `retry` does).
   *
   * Default: `64`. Range: 1 to 65,536.
   *
   * @example `maxSessions: 4`
   */
  maxSessions?: number | undefined;
  /**
   * The most transfers of one key at the same time, so that one client does not take all of `maxSessions`; further ones are told to come
   * again (`ERR_SPARSYNC_CONNECT`, which `retry` does).
   *
   * Default: `32`. Range: 1 to 65,536.
   *
   * @example `maxSessionsPerKey: 4`
   */
  maxSessionsPerKey?: number | undefined;
  /**
   * A connection on which nothing at all arrives for so many milliseconds is lost.
   *
   * Default: `30_000`. Range: 100 to 3,600,000.
   *
   * @example `idleTimeoutMs: 10_000`
   */
  idleTimeoutMs?: number | undefined;
  /**
   * What decides how much the server sends; see `congestion` of {@link connect}.
   *
   * Default: `'auto'`.
   *
   * @example `congestion: 'cubic'`
   */
  congestion?: Congestion | undefined;
  /**
   * Listen on TCP too, at the same port, for clients that UDP does not get through to.
   *
   * Default: `true`.
   *
   * @example `tcp: false`
   */
  tcp?: boolean | undefined;
  /**
   * Is told where the time of every sync went, when it has ended, and every ten seconds in which something was served,
   * and at the end, what all of them took together. It is called on this process's own turn, and must not throw.
   *
   * Default: none, and nothing is measured but what clients ask for.
   *
   * @example `profile: (record) => appendFileSync('profile.jsonl', JSON.stringify(record) + '\n')`
   */
  profile?: ProfileListener | undefined;
  /**
   * Is told what happens: transfers that have ended with what they did, what was refused and why, keys that were read or
   * cannot be. It is called on this process's own turn, and must not throw.
   *
   * Default: none.
   *
   * @example `log: (event) => logger.info(event)`
   */
  log?: ServerEventListener | undefined;
  /**
   * Is told the same as `log`, by the functions `debug`, `info`, `warn` and `error`, which take facts for programs, then a text: pino's
   * shape.
   *
   * Default: none.
   *
   * @example `logger: pino()`
   */
  logger?: Logger | undefined;
  /**
   * Keep figures for a monitoring system, which `server.metrics()` gives.
   *
   * Default: `false`.
   *
   * @example `metrics: true`
   */
  metrics?: boolean | undefined;
  /**
   * The most connections at the same time, of all clients together; further ones are told to come again
   * (`ERR_SPARSYNC_CONNECT`, which `retry` does).
   *
   * Default: `1024`. Range: 1 to 65,536.
   *
   * @example `maxConnections: 200`
   */
  maxConnections?: number | undefined;
  /**
   * The most connections of one key at the same time; further ones are told to come again (`ERR_SPARSYNC_CONNECT`, which `retry` does).
   *
   * Default: `16`. Range: 1 to 65,536.
   *
   * @example `maxConnectionsPerKey: 4`
   */
  maxConnectionsPerKey?: number | undefined;
  /**
   * The most connections at the same time from one address, or from one /64 network where that is an IPv6 address; further ones are
   * told to come again (`ERR_SPARSYNC_CONNECT`, which `retry` does).
   *
   * Default: `1024`. Range: 1 to 65,536.
   *
   * @example `maxConnectionsPerAddress: 32`
   */
  maxConnectionsPerAddress?: number | undefined;
  /**
   * The most clients that are in the middle of their handshake at the same time over QUIC, and half as many over TCP. Over it, packets
   * of further ones are dropped, and clients send them again. One network has 32 at most, whatever this says.
   *
   * Default: `1024`. Range: 1 to 65,536.
   *
   * @example `maxHandshakes: 256`
   */
  maxHandshakes?: number | undefined;
  /**
   * Bytes of memory for what has come and was not read yet, of all connections together; each may have 1 MiB besides. Less makes fast
   * transfers over long ways slower, and refuses none.
   *
   * Default: `268_435_456` (256 MiB).
   *
   * @example `maxUnreadBytes: 64 * 2 ** 20`
   */
  maxUnreadBytes?: number | undefined;
  /**
   * The most bytes of content in a second, of all transfers together, whatever their direction; `0` is no limit.
   *
   * Default: `0`.
   *
   * @example `bwlimit: 50_000_000`
   */
  bwlimit?: number | undefined;
  /**
   * The same of all transfers of one key.
   *
   * Default: `0`.
   *
   * @example `bwlimitPerKey: 10_000_000`
   */
  bwlimitPerKey?: number | undefined;
  /**
   * Bytes that stay free on the file system of a root. A transfer ends with `ERR_SPARSYNC_NO_SPACE` before it takes from them; what
   * had arrived stays.
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

/** What a server that runs takes on: what is not given stays as it is. */
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

/** The limits of a server that was told nothing. */
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

/** How much a server does and takes. */
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
    idleTimeoutMs: given.idleTimeoutMs ?? 30_000,
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
