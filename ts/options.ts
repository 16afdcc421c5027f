import type { Congestion } from './congestion.js';
import type { TransportChoice } from './transports.js';
import type { Logger } from './logger.js';
import type { PathLike } from './paths.js';
import type { PlatformAbortSignal } from './platform.js';
import type { NOT_IN_PLAN, NOT_IN_VERIFY } from './transfer.js';
import type { Changing, Compare, Compression, Durability, MissingSources } from './words.js';

/** The snapshot that a run makes, and the ones to keep. */
export interface SnapshotOptions {
  /**
   * The directory to which unchanged files are linked instead of the newest snapshot; a relative path begins at the series. With
   * `false` nothing is linked and everything is sent.
   *
   * Default: the newest snapshot.
   *
   * @example `snapshot: { previous: '2026-11-01T00-00-00Z' }`
   */
  previous?: PathLike | false | undefined;
  /**
   * An unchanged file becomes a reflink, a file of its own that shares its blocks, instead of a hard link: writing to one snapshot,
   * or changing its attributes, does not affect the others. A file system without reflinks makes copies, with one warning.
   *
   * Default: `false`.
   *
   * @example `snapshot: { reflink: true }`
   */
  reflink?: boolean | undefined;
  /**
   * Which snapshots to keep once the new one is made. The newest one always stays, and so do entries without the name of a
   * snapshot. Nothing is removed if the new snapshot is incomplete, unless `ignoreErrors` is set. Snapshots from the future are
   * neither counted nor removed.
   *
   * Default: all stay.
   *
   * @example `snapshot: { keep: { last: 3, daily: 7, monthly: 12 } }`
   */
  keep?: KeepRule | undefined;
}

/**
 * How many snapshots to keep: the last ones, and the last one of each of so many hours, days, weeks (from Monday), months and years
 * that have any, in UTC. Each number is counted on its own. While one of them is not reached, the oldest snapshot stays, too.
 */
export interface KeepRule {
  /** How many of the last ones, 0 to 1,000,000; the other numbers have the same range. Default: `0`. */
  last?: number | undefined;
  /** Hours. Default: `0`. */
  hourly?: number | undefined;
  /** Days. Default: `0`. */
  daily?: number | undefined;
  /** Weeks. Default: `0`. */
  weekly?: number | undefined;
  /** Months. Default: `0`. */
  monthly?: number | undefined;
  /** Years. Default: `0`. */
  yearly?: number | undefined;
}

/** How this process identifies itself. */
export interface IdentityOptions {
  /**
   * File of the private key (Ed25519, PKCS #8, PEM). It is created, with mode 0600, if it is missing.
   *
   * Default: `key.pem` in the configuration folder.
   *
   * @example `identity: { keyPath: '/etc/backup/key.pem' }`
   */
  keyPath?: string | undefined;
  /**
   * The private key itself in PEM form, for example from a secret store. It cannot be combined with `keyPath`.
   *
   * Default: none.
   *
   * @example `identity: { key: process.env.SYNC_KEY }`
   */
  key?: string | undefined;
  /**
   * Certificate chain in PEM form, for peers that trust a private CA instead of keys.
   *
   * Default: none.
   *
   * @example `identity: { key, cert: readFileSync('client.pem', 'utf8') }`
   */
  cert?: string | undefined;
}

/** Which servers are trusted. */
export interface TrustOptions {
  /**
   * The keys that the server may have, `ed25519:BASE64`. If given, `knownHosts` is not read.
   *
   * Default: none.
   *
   * @example `trust: { pin: 'ed25519:R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAA' }`
   */
  pin?: string | readonly string[] | undefined;
  /**
   * File of pinned keys by host and port.
   *
   * Default: `known_hosts` in the configuration folder.
   *
   * @example `trust: { knownHosts: '/etc/backup/known_hosts' }`
   */
  knownHosts?: string | undefined;
  /**
   * What to do with a server that is not pinned yet: `'refuse'` it, or `'accept'` it this once and pin it. A server whose key has
   * changed is always refused.
   *
   * Default: `'refuse'`.
   *
   * @example `trust: { firstUse: 'accept' }`
   */
  firstUse?: 'refuse' | 'accept' | undefined;
  /**
   * Certificates of a private CA in PEM form: the server's certificate must chain to one of them and carry the host's
   * name. Replaces pins.
   *
   * Default: none.
   *
   * @example `trust: { ca: readFileSync('ca.pem', 'utf8') }`
   */
  ca?: string | undefined;
}

/** When a failed attempt is repeated. */
export interface RetryOptions {
  /**
   * How many further attempts may follow the first, from 0 to 1,000,000.
   *
   * Default: `5` when `retry` is an object.
   *
   * @example `retry: { attempts: 10 }`
   */
  attempts?: number | undefined;
  /**
   * No attempt begins more than this many milliseconds after the call.
   *
   * Default: no such limit.
   *
   * @example `retry: { attempts: 1000, deadlineMs: 3_600_000 }`
   */
  deadlineMs?: number | undefined;
  /**
   * Upper bound of the first pause in milliseconds. Each further bound is twice the one before; the pause itself is
   * chosen at random below it.
   *
   * Default: `500`.
   *
   * @example `retry: { attempts: 3, baseDelayMs: 2000 }`
   */
  baseDelayMs?: number | undefined;
  /**
   * Upper bound of any pause in milliseconds.
   *
   * Default: `30_000`.
   *
   * @example `retry: { attempts: 100, maxDelayMs: 5000 }`
   */
  maxDelayMs?: number | undefined;
}

/** Which events a job emits, and what happens if they are not read fast enough. */
export interface EventOptions {
  /**
   * Whether there is an `item` event for every path that changes.
   *
   * Default: `true` when the job is iterated in the same tick as it was made, else `false`.
   *
   * @example `events: { items: false }`
   */
  items?: boolean | undefined;
  /**
   * Whether there is a `filter` event for every entry about which a filter rule decides at the end on this machine: the source of a
   * push, the destination of a pull (there only with `delete`). For the server's decisions use `explain`, path by path.
   *
   * Default: `false`.
   *
   * @example `events: { filter: true }`
   */
  filter?: boolean | undefined;
  /**
   * What happens when events are not read as fast as they come: `'drop'` drops item and filter events and counts them in a
   * `dropped` event, so that the transfer continues at full speed; with `'wait'` the transfer waits for the reader.
   *
   * Default: `'drop'`.
   *
   * @example `events: { items: true, whenFull: 'wait' }`
   */
  whenFull?: 'drop' | 'wait' | undefined;
}

/** How to reach a server, and how both ends identify each other. */
export interface ConnectOptions {
  /** Who this process is. Default: the key of this user, see {@link IdentityOptions}. */
  identity?: IdentityOptions | undefined;
  /** Which servers are trusted. Default: the pins of this user, see {@link TrustOptions}. */
  trust?: TrustOptions | undefined;
  /**
   * Time for connecting to the server over all its addresses, with the handshake, in milliseconds. `connect` waits for the server's first
   * answer as long again, or 60 s if this is not given.
   *
   * Default: `10_000`. Range: 1 to 3,600,000.
   *
   * @example `connectTimeoutMs: 2000`
   */
  connectTimeoutMs?: number | undefined;
  /**
   * After this many milliseconds without any packet, a connection is lost.
   *
   * Default: `30_000`. Range: 100 to 3,600,000.
   *
   * @example `idleTimeoutMs: 10_000`
   */
  idleTimeoutMs?: number | undefined;
  /**
   * Size in bytes of the first packets, for networks known to carry more than the 1200 that are safe everywhere.
   *
   * Default: `0`, which starts at 1200 and finds out. Range: 0, or 1200 to 6500.
   *
   * @example `initialMtu: 6500`
   */
  initialMtu?: number | undefined;
  /**
   * The congestion control of this side. `'bbr'` follows what the path delivers, so that losses which it does not cause cost
   * little; `'cubic'` follows losses only, as most of TCP does. The server has an option of its own.
   *
   * Default: `'auto'`, which is `'cubic'` on loopback and `'bbr'` everywhere else.
   *
   * @example `congestion: 'cubic'`
   */
  congestion?: Congestion | undefined;
  /**
   * The transport. To a server: `'quic'` over UDP, or `'tcp'` with TLS, at the same port and with the same keys. Over ssh: only the
   * `'pipe'`, or `'quic'` next to it for all content.
   *
   * Default: `'auto'`, which is QUIC, and TCP or the pipe where UDP gets no answer. To a server for which `HTTPS_PROXY` names an
   * HTTP proxy (`http://[user:password@]host:port`; `NO_PROXY` excepts hosts) it is TCP through that, as is `'tcp'`.
   *
   * @example `transport: 'tcp'`
   */
  transport?: TransportChoice | undefined;
  /**
   * The address family for reaching the server, or the host over ssh: 4 or 6.
   *
   * Default: either, the system's favourite first.
   *
   * @example `family: 4`
   */
  family?: 4 | 6 | undefined;
  /**
   * The address of this machine to send from, an IPv4 or IPv6 address, which also determines the family.
   *
   * Default: the system chooses.
   *
   * @example `localAddress: '192.0.2.7'`
   */
  localAddress?: string | undefined;
  /**
   * The UDP ports that the other end of ssh may choose from, `'LOW-HIGH'`, for a firewall there.
   *
   * @example `quicPorts: '60000-60100'`
   */
  quicPorts?: string | undefined;
  /**
   * The remote shell by which places on hosts are reached (`ssh://`, {@link ShellPlace}): a program with its arguments, as an
   * array or as rsync takes `-e`.
   *
   * Default: the environment variable `RSYNC_RSH`, or `'ssh'`.
   *
   * @example `rsh: 'ssh -i ~/.ssh/backup'`
   */
  rsh?: string | readonly string[] | undefined;
  /**
   * The program to start at the other end of ssh or a command. The remote shell parses it, so it may have several words.
   *
   * Default: `'sparsync-remote'`.
   *
   * @example `remotePath: 'sudo sparsync-remote'`
   */
  remotePath?: string | undefined;
  /**
   * Installs `sparsync-remote` at the other end when it is missing there, over the same connection: into the user's cache folder,
   * under a name made of its digest, which is checked before each use; with `'temp'`, for this run only. It works for ssh, for
   * another remote shell, and for the commands of a {@link CommandPlace}.
   *
   * Default: `false`: if it is missing, the error says what to do.
   *
   * @example `bootstrap: true`
   */
  bootstrap?: boolean | 'temp' | undefined;
  /**
   * What `ssh`, or another command that leads to the other end, says on its standard error: `'inherit'` shows all of it on that of
   * this process, as it comes (warnings, addresses to open, `ssh -v`). Its last lines are in an error's `details.stderr` either way.
   *
   * Default: `'ignore'`.
   *
   * @example `commandStderr: 'inherit'`
   */
  commandStderr?: 'ignore' | 'inherit' | undefined;
  /**
   * A logger for each run, with the functions `debug`, `info`, `warn` and `error`, which take an object and then a text, as pino's
   * do. Starts and connections are logged as `debug`, ends as `info`, failed paths, warnings and retries as `warn`, errors as
   * `error`.
   *
   * Default: none.
   *
   * @example `logger: pino()`
   */
  logger?: Logger | undefined;
}

/**
 * A filter rule: one with a pattern, as text or bytes, or one that reads rules from files. `exclude` and `include` apply to both
 * ends, unless `end` names one, or `deleteExcluded` makes them rules for the sender; `hide` and `show` decide what is sent,
 * `protect` and `risk` what may be deleted.
 */
export interface FilterRule {
  /** What matches is neither sent nor deleted. */
  exclude?: string | Uint8Array | undefined;
  /** What matches is sent, and may be deleted. */
  include?: string | Uint8Array | undefined;
  /** What matches is not sent. */
  hide?: string | Uint8Array | undefined;
  /** What matches is sent. */
  show?: string | Uint8Array | undefined;
  /** What matches is not deleted. */
  protect?: string | Uint8Array | undefined;
  /** What matches may be deleted. */
  risk?: string | Uint8Array | undefined;
  /** A file on this machine with rules to insert here; `-` is standard input. It is read when the call is made. */
  mergeFile?: string | Uint8Array | undefined;
  /**
   * The name of a file to look for in each directory: its rules apply to that directory and those below it, and each end reads its
   * own. With a path in front (`/`, `../`), it is also looked for in directories above the top of the transfer, beginning there.
   */
  dirMerge?: string | Uint8Array | undefined;
  /** A file on this machine with a pattern on each line: all are excluded, except those that begin with `+ `. */
  excludeFrom?: string | Uint8Array | undefined;
  /** A file on this machine with a pattern on each line: all are included, except those that begin with `- `. */
  includeFrom?: string | Uint8Array | undefined;
  /** A rule in rsync's text, to be used with `from0`. */
  rule?: string | Uint8Array | undefined;
  /** A NUL, instead of a line end, ends each rule in the files that this rule names. Default: `false`. */
  from0?: boolean | undefined;
  /** The rule applies to what the pattern does not match. Default: `false`. */
  negate?: boolean | undefined;
  /** The rule does not apply inside of a directory that is deleted. Default: `false`. */
  perishable?: boolean | undefined;
  /** The pattern is compared with the path in the file system, or below the server's root. Default: `false`. */
  absolute?: boolean | undefined;
  /** The pattern is compared with names of extended attributes instead of entries. Default: `false`. */
  xattr?: boolean | undefined;
  /** The end that the rule applies to. Default: both. */
  end?: 'sender' | 'receiver' | undefined;
  /** For files: they have only patterns, all of this kind. Default: they have rules. */
  patterns?: 'exclude' | 'include' | undefined;
  /** For files: rules are separated by blanks. Default: `false`, one on each line. */
  wordSplit?: boolean | undefined;
  /** For files in directories: their rules do not apply below their own directory. Default: `false`. */
  noInherit?: boolean | undefined;
  /** For files: they are excluded themselves. Default: `false`. */
  excludeSelf?: boolean | undefined;
  /** For files: they are those of CVS, with patterns separated by blanks, and are not inherited. Default: `false`. */
  cvs?: boolean | undefined;
}

/** What is transferred, how it is compared, and what the destination keeps. */
export interface TransferOptions {
  /**
   * Go into sub-directories.
   *
   * Default: `true`.
   *
   * @example `recursive: false`
   */
  recursive?: boolean | undefined;
  /**
   * Preserve symlinks. Otherwise they are skipped.
   *
   * Default: `true`.
   *
   * @example `links: false`
   */
  links?: boolean | undefined;
  /**
   * Transfer what symlinks of the source lead to: files and directories arrive in their place. On this machine they may lead
   * anywhere; on a server, only to what the key may read below its prefix. A symlink that leads to nothing, or to something that
   * may not be read, is a failure of its path.
   *
   * Default: `false`.
   *
   * @example `copyLinks: true`
   */
  copyLinks?: boolean | undefined;
  /**
   * The same for symlinks that lead to directories; others stay symlinks.
   *
   * Default: `false`.
   *
   * @example `copyDirLinks: true`
   */
  copyDirLinks?: boolean | undefined;
  /**
   * The same for symlinks that lead out of the tree, by their text (see `safeLinks`).
   *
   * Default: `false`.
   *
   * @example `copyUnsafeLinks: true`
   */
  copyUnsafeLinks?: boolean | undefined;
  /**
   * Where the source has a directory, and the destination a symlink that leads to one, write to that one. A symlink must not lead
   * out of the destination, or out of the key's prefix on a server. One that does stays as it is, and its path and all paths below
   * it fail.
   *
   * Default: `false`.
   *
   * @example `keepDirLinks: true`
   */
  keepDirLinks?: boolean | undefined;
  /**
   * Skip symlinks that lead out of the tree, by their text: absolute ones, those that lead above the top, and those with `..` after
   * a name. Each is a warning (`unsafe-link`), and what the destination has by its name stays.
   *
   * Default: `false`.
   *
   * @example `safeLinks: true`
   */
  safeLinks?: boolean | undefined;
  /**
   * Make symlinks on this side lead nowhere: they are written with `/rsyncd-munged/` in front of their targets, and sent without
   * it, as in rsync.
   *
   * Default: `false`.
   *
   * @example `mungeLinks: true`
   */
  mungeLinks?: boolean | undefined;
  /**
   * The same on the other side: at the server, or at the destination of two local folders.
   *
   * Default: `false`.
   *
   * @example `remoteMungeLinks: true`
   */
  remoteMungeLinks?: boolean | undefined;
  /**
   * Store what needs root in extended attributes of the user, and read it from there, as rsync does: owners, modes, devices, FIFOs,
   * sockets and symlinks as files, ACLs, and attributes of other namespaces. It applies to this side, and between two local folders
   * to both. rsync and sparsync read each other's attributes.
   *
   * Default: `false`.
   *
   * @example `fakeSuper: true`
   */
  fakeSuper?: boolean | undefined;
  /**
   * The same at the server. The key needs the same rights as for what is stored.
   *
   * Default: `false`.
   *
   * @example `remoteFakeSuper: true`
   */
  remoteFakeSuper?: boolean | undefined;
  /**
   * Preserve POSIX ACLs, those of entries and the default ones of directories; on a server this needs the right `acls`. With
   * `perms: false` the parts of an ACL that repeat the mode keep the mode of the destination's entry. It costs a system call or
   * more for each entry at both ends.
   *
   * Default: `false`.
   *
   * @example `acls: true`
   */
  acls?: boolean | undefined;
  /**
   * Preserve devices, which needs root at the destination, and on a server the right `special`. Otherwise, and without this option,
   * they are skipped, each with a warning.
   *
   * Default: `true`.
   *
   * @example `devices: false`
   */
  devices?: boolean | undefined;
  /**
   * Transfer the content of the source's devices as files, with the mode and owner of the device, and the time of the run: writing
   * to a device need not change its time, so its content is compared every time. A character device is not opened, and arrives
   * empty. To pull devices, the key needs the right `special`.
   *
   * Default: `false`.
   *
   * @example `await sync('/dev/vdb', 'disk.img', { copyDevices: true })`
   */
  copyDevices?: boolean | undefined;
  /**
   * Preserve FIFOs (named pipes) and sockets; on a server this needs the right `special`. Otherwise they are skipped.
   *
   * Default: `true`.
   *
   * @example `specials: false`
   */
  specials?: boolean | undefined;
  /**
   * Preserve modes.
   *
   * Default: `true`.
   *
   * @example `perms: false`
   */
  perms?: boolean | undefined;
  /**
   * Without `perms`: make a file at the destination executable if it is at the source, for everybody who may read it; other bits
   * stay.
   *
   * Default: `false`.
   *
   * @example `perms: false, executability: true`
   */
  executability?: boolean | undefined;
  /**
   * Change the modes of the source before they are compared and transferred: octal numbers, or letters as in `chmod`, with `D` in
   * front for directories only and `F` for everything else, separated by commas. A change without `u`, `g`, `o` or `a` (`+w`)
   * respects the umask of this process. At most 4 KiB.
   *
   * Default: none.
   *
   * @example `chmod: 'D755,F644'`
   */
  chmod?: string | undefined;
  /**
   * Preserve modification times, to the nanosecond. Without them the quick check cannot recognise an unchanged file.
   *
   * Default: `true`.
   *
   * @example `times: false`
   */
  times?: boolean | undefined;
  /**
   * Preserve access times, except of directories. Reading a file changes its access time at the source, so the next run finds it
   * changed unless {@link TransferOptions.openNoatime} is on, or the file system does not record it.
   *
   * Default: `false`.
   *
   * @example `atimes: true, openNoatime: true`
   */
  atimes?: boolean | undefined;
  /**
   * Read files without changing their access times, at both ends. The system allows this for the user's own files, and to root for
   * all; others are read as usual.
   *
   * Default: `false`.
   *
   * @example `openNoatime: true`
   */
  openNoatime?: boolean | undefined;
  /**
   * Leave directories out of `times`.
   *
   * Default: `false`.
   *
   * @example `omitDirTimes: true`
   */
  omitDirTimes?: boolean | undefined;
  /**
   * Leave symlinks out of `times`.
   *
   * Default: `false`.
   *
   * @example `omitLinkTimes: true`
   */
  omitLinkTimes?: boolean | undefined;
  /**
   * Treat an attribute that the destination's file system cannot hold as a failure of each entry that has one. Otherwise there is
   * one warning (`attributes-unheld`) for each kind of attribute and file system.
   *
   * Default: `false`.
   *
   * @example `xattrs: true, strictAttributes: true`
   */
  strictAttributes?: boolean | undefined;
  /**
   * Preserve owners, by name; an owner without a name at the source, or with one that the destination does not have, by number (see
   * {@link TransferOptions.numericIds}). It needs root at the destination, and on a server the right `owner`.
   *
   * Default: `false`.
   *
   * @example `owner: true, group: true`
   */
  owner?: boolean | undefined;
  /**
   * Preserve groups, by name as owners are. A user who is not root can set the groups that they are in; other groups stay as they
   * are. On a server this needs the right `owner`.
   *
   * Default: `false`.
   *
   * @example `group: true`
   */
  group?: boolean | undefined;
  /**
   * Preserve owners and groups by number, whatever their names are on either machine.
   *
   * Default: `false`.
   *
   * @example `owner: true, numericIds: true`
   */
  numericIds?: boolean | undefined;
  /**
   * Maps owners of the source to owners at the destination: rules `FROM:TO`, separated by commas, of which the first that matches
   * decides; an owner that none matches is preserved as usual. FROM is a name, a name with wildcards (`*`, `?`, `[a-z]`), a number,
   * a range of numbers (`1000-1999`), `*` for everybody, or empty for owners without a name; TO is a name at the destination or a
   * number. A rule with an unknown name there is ignored with a warning. Turns `owner` on. At most 64 KiB.
   *
   * Default: none.
   *
   * @example `usermap: 'alice:bob,1000-1999:nobody,*:root'`
   */
  usermap?: string | undefined;
  /**
   * The same for groups. Turns `group` on.
   *
   * Default: none.
   *
   * @example `groupmap: '*:staff'`
   */
  groupmap?: string | undefined;
  /**
   * The owner, the group, or both that everything gets: `'USER:GROUP'`, `'USER'` or `':GROUP'`, by name at the destination or by
   * number. It is the rule `*:USER` of `usermap` and `*:GROUP` of `groupmap`, and cannot be combined with those.
   *
   * Default: none.
   *
   * @example `chown: 'www-data:www-data'`
   */
  chown?: string | undefined;
  /**
   * Whether the receiving end tries what needs the rights of root: setting owners, and groups that it is not in. With `true`
   * another user tries it, too, and each failure is reported; with `false` not even root does.
   *
   * Default: whether it runs as root.
   *
   * @example `owner: true, superUser: false`
   */
  superUser?: boolean | undefined;
  /**
   * Preserve extended attributes: those of files and directories in the namespace `user.`; if this process is root, those of every
   * entry in every namespace except `system.`, for which a server requires the right `xattrs`. A file's capabilities
   * (`security.capability`) are preserved only with the same owner. It costs a system call or more for each entry at both ends.
   *
   * Default: `false`.
   *
   * @example `xattrs: true`
   */
  xattrs?: boolean | undefined;
  /**
   * Preserve hard links: a file with several names in the source becomes one file with these names at the destination, and its
   * content is transferred once. Files, symlinks and special files can be linked. An existing link between names that the source
   * does not link stays, as in rsync, until one of them changes. It costs memory for each entry with several names.
   *
   * Default: `false`; every name arrives as a file of its own.
   *
   * @example `hardLinks: true`
   */
  hardLinks?: boolean | undefined;
  /**
   * Do not go into a directory of the source where another file system begins: it is made, and its content at the destination
   * stays. At the destination, nothing is deleted on other file systems than that of its top.
   *
   * Default: `false`.
   *
   * @example `await sync('/', '/mnt/backup', { oneFileSystem: true })`
   */
  oneFileSystem?: boolean | undefined;
  /**
   * With `oneFileSystem`, skip the directories where another file system begins: with `delete` they are deleted from the
   * destination.
   *
   * Default: `false`.
   *
   * @example `{ oneFileSystem: true, omitMountPoints: true }`
   */
  omitMountPoints?: boolean | undefined;
  /**
   * Skip directories of the source that have nothing but directories in them; excluded entries do not count. The top stays, and so
   * does what a rule protects (`{ protect: 'tmp/' }`). With `delete` the skipped ones are deleted from the destination.
   *
   * Default: `false`.
   *
   * @example `pruneEmptyDirs: true`
   */
  pruneEmptyDirs?: boolean | undefined;
  /**
   * Without `recursive`: transfer directories themselves, without their content.
   *
   * Default: `false`.
   *
   * @example `await sync('src', 'dst', { recursive: false, dirs: true })`
   */
  dirs?: boolean | undefined;
  /**
   * Put each source below the destination under its whole path, or the part of it after `/./`, as `-R` does in rsync. The
   * directories in that path are made, with the attributes that they have at the source unless `impliedDirs` is `false`; what else
   * is in them at the destination stays. Symlinks in the path are followed, but refused on a server.
   *
   * Default: `false`; `true` with `filesFrom`.
   *
   * @example `await sync('/srv/./www/site', '/backup', { relative: true })` // makes /backup/www/site
   */
  relative?: boolean | undefined;
  /**
   * Preserve the attributes of the directories above a source of `relative` or a path of `filesFrom`. Otherwise missing ones are
   * made with the attributes of any new directory, and symlinks to directories in their places are written through, as with
   * `keepDirLinks`.
   *
   * Default: `true`.
   *
   * @example `impliedDirs: false`
   */
  impliedDirs?: boolean | undefined;
  /**
   * The only paths below the one source that belong to the run; with `recursive` also what is below them. Without `recursive`, a
   * path that ends with a slash means a directory and its direct entries, and `.` the source itself. A path that the source does
   * not have is reported, and the others are transferred. `..` goes no higher than the source. With `relative` only the part behind
   * `/./` is kept. At most 32 MiB in all; an empty list means nothing.
   *
   * Default: everything.
   *
   * @example `filesFrom: ['etc/fstab', 'home/me/']`
   */
  filesFrom?: readonly PathLike[] | undefined;
  /**
   * When a file counts as unchanged: `'quick'` compares size and time, `'content'` reads both, `'size'` compares the
   * size alone, `'none'` never, so that each file is transferred.
   *
   * Default: `'quick'`.
   *
   * @example `compare: 'content'`
   */
  compare?: Compare | undefined;
  /**
   * With `compare: 'content'`, do not read files again that an earlier run with this option has hashed on this side, while file system,
   * inode, length and both times, to the nanosecond, are the same; see docs/safety.md. Digests are kept in the state directory. Has no effect
   * on other comparisons, on a server, and on what is written.
   *
   * Default: `false`.
   *
   * @example `await sync('/data/', 'sparsync://host/data/', { compare: 'content', checksumCache: true })`
   */
  checksumCache?: boolean | undefined;
  /**
   * How far two times may be apart and still be equal, in nanoseconds: `-1` for not at all, `0` to compare whole seconds as rsync
   * does. Times that are compared in whole seconds ignore the fraction.
   *
   * Default: `-1`. Range: -1 to `Number.MAX_SAFE_INTEGER` (104 days).
   *
   * @example `modifyWindowNs: 2_000_000_000` // a FAT file system
   */
  modifyWindowNs?: number | undefined;
  /**
   * Skip files that are newer at the destination.
   *
   * Default: `false`.
   *
   * @example `update: true`
   */
  update?: boolean | undefined;
  /**
   * Make all missing directories above the destination. Otherwise only its last name may be missing.
   *
   * Default: `false`.
   *
   * @example `await sync('site', '/srv/new/place', { mkpath: true })`
   */
  mkpath?: boolean | undefined;
  /**
   * Skip what exists at the destination, whatever its content; only what is missing is made. Directories are still gone into.
   *
   * Default: `false`.
   *
   * @example `ignoreExisting: true`
   */
  ignoreExisting?: boolean | undefined;
  /**
   * Make no files or directories that the destination does not have; what it has is brought up to date.
   *
   * Default: `false`.
   *
   * @example `existing: true`
   */
  existing?: boolean | undefined;
  /**
   * Skip files of more than this many bytes, at both ends: what the destination has of them stays, also with `delete`.
   *
   * Default: no such limit. Range: 0 to 2^53 - 1.
   *
   * @example `maxSize: 100 * 1024 * 1024`
   */
  maxSize?: number | undefined;
  /**
   * Skip files of fewer bytes, at both ends: what the destination has of them stays, also with `delete`.
   *
   * Default: no such limit. Range: 0 to 2^53 - 1.
   *
   * @example `minSize: 1`
   */
  minSize?: number | undefined;
  /**
   * Which entries belong to the run, with rsync's meaning: the first rule that matches an entry decides, and what no rule matches
   * belongs to it. Excluded entries, with everything below them, are neither read at the source nor deleted at the destination. A
   * rule is an object, or rsync's text (`'- *.tmp'`, `'P .cache/'`). Patterns begin at the top of the transfer when they begin with
   * `/`, and mean directories when they end in one; see docs/filters.md. At most 256 KiB.
   *
   * Default: none.
   *
   * @example `filter: [{ include: '*.keep.tmp' }, { exclude: '*.tmp' }, { mergeFile: '.syncignore' }, { dirMerge: '.rsync-filter' }]`
   */
  filter?: readonly (string | Uint8Array | FilterRule)[] | undefined;
  /**
   * Exclude what git ignores, where no rule of {@link TransferOptions.filter} decides: by the files `.gitignore` of the tree and of
   * the repository that holds it, and `.git/info/exclude`. Each end reads its own; see docs/filters.md.
   *
   * Default: `false`.
   *
   * @example `gitignore: true`
   */
  gitignore?: boolean | undefined;
  /**
   * Write into existing files instead of replacing them: they keep their inode and their hard links, but readers see a mix of old
   * and new content, and so does everybody after an interrupted run or a failure. A server refuses it for a file with further hard
   * links.
   *
   * Default: `false`.
   *
   * @example `inplace: true`
   */
  inplace?: boolean | undefined;
  /**
   * Write the content of a file to the device that is in its place at the destination, instead of making a file; turns `inplace`
   * on. A device is treated as a file of its size: it is skipped if its size and time are those of the file, and what is after the
   * end of a shorter file stays. A block device that is mounted, or in use otherwise, is refused. On a server this needs the rights
   * `write` and `special`.
   *
   * Default: `false`.
   *
   * @example `await sync('disk.img', '/dev/vdb', { writeDevices: true })`
   */
  writeDevices?: boolean | undefined;
  /**
   * Send changed files whole. Otherwise, of files of 256 KiB and more, the parts that the destination already has are not sent:
   * both ends compare the digests of parts. On a server this needs the right `read`.
   *
   * Default: `true` between folders of one machine, else `false`.
   *
   * @example `wholeFile: true`
   */
  wholeFile?: boolean | undefined;
  /**
   * Append what is missing to files that are shorter than at the source, in place. What is there is verified first; if it is not
   * the beginning of the source's file, the whole file is written. Files that are as long or longer get no content.
   *
   * Default: `false`.
   *
   * @example `append: true`
   */
  append?: boolean | undefined;
  /**
   * For a large file that is new at the destination, use a similar file there as the basis, so that only the difference is sent:
   * one in the same directory with the same size and time, or with the most similar name. The choice affects only how much is sent.
   * On a server this needs the right `read`.
   *
   * Default: `false`.
   *
   * @example `await sync('./logs', 'sparsync://host/logs/', { fuzzy: true })`
   */
  fuzzy?: boolean | undefined;
  /**
   * With `fuzzy`, look for such files in the directories of `compareDest`, `copyDest`, `linkDest` or `reflinkDest`, too.
   *
   * Default: `false`.
   *
   * @example `{ fuzzy: true, fuzzyDest: true, linkDest: ['../yesterday'] }`
   */
  fuzzyDest?: boolean | undefined;
  /**
   * With `delete`, do not send a file again that was moved or renamed, whatever directory it is in now: a file that the destination
   * lacks is taken from one that is to be deleted there with the same size, time and, by a digest of all of it, content. These
   * files are handled once both sides are known completely. On a server this needs the right `read`.
   *
   * Default: `false`.
   *
   * @example `await sync('./photos/', 'sparsync://host/photos/', { delete: true, detectRenames: true })`
   */
  detectRenames?: boolean | undefined;
  /**
   * Between two folders of one machine, hash content where it is read and where it is written, as over a network. Otherwise large
   * files are copied by the kernel, by sharing blocks where the file system can, and a file that changes meanwhile is detected by
   * its status before and after. It has no other effect.
   *
   * Default: `false`.
   *
   * @example `await sync('/data', '/mnt/backup', { verifyCopies: true })`
   */
  verifyCopies?: boolean | undefined;
  /**
   * Delete entries of the source, except directories, that have arrived or were already at the destination, once they are on disk
   * there. What changed since it was listed stays. A pull needs the right `delete`.
   *
   * Default: `false`.
   *
   * @example `removeSourceFiles: true`
   */
  removeSourceFiles?: boolean | undefined;
  /**
   * Rename files into place at the end, when all content has arrived, so that the tree changes within a moment. If a run ends
   * early, files without a name are removed, and sent again.
   *
   * Default: `false`.
   *
   * @example `delayUpdates: true`
   */
  delayUpdates?: boolean | undefined;
  /**
   * Make the whole tree next to the old one, sharing what does not change, and exchange the two in one step when the new one is
   * complete and on disk: a program that opens the destination gets the old tree or the new one. If a path fails, nothing changes.
   * Not for a single file, a mount point, the top of a root or of what a key may use, and not with `inplace`, `append`,
   * `hardLinks`, `keepDirLinks`, `backup` and `removeSourceFiles`. On a server this needs the rights `write` and `delete`.
   *
   * Default: `false`.
   *
   * @example `await sync('./dist', 'sparsync://host/www/site', { delete: true, publish: true })`
   */
  publish?: boolean | undefined;
  /**
   * With `publish`, keep the old tree, under the destination's name and `.previous`, which replaces the one kept before.
   *
   * Default: `false`; it is removed.
   *
   * @example `{ publish: true, keepPrevious: true }`
   */
  keepPrevious?: boolean | undefined;
  /**
   * The destination is a series of snapshots: the run makes the next one in it, a directory with the name of its moment
   * (`2026-11-28T23-50-12Z`), in which what did not change is a hard link to the snapshot before. It has its name when it is complete;
   * `snapshot` of the result tells it. What a run that was cut off has made is used by the next one. Paths that fail are missing in the
   * snapshot, and listed as ever. At a server a key needs the right `append`, to link `read`, and to remove snapshots `delete`.
   *
   * Default: none.
   *
   * @example `await sync('/home', 'sparsync://backup/laptop', { snapshot: { keep: { hourly: 24, daily: 7, weekly: 4 } } })`
   */
  snapshot?: SnapshotOptions | undefined;
  /**
   * The directory in which verified parts of large files are kept for the next run: a relative one in the directory of each
   * file, where it is no part of the tree, an absolute one for all. On a server the latter lies below the prefix of the key.
   * Turns `partial` on.
   *
   * Default: none, parts are beside their targets.
   *
   * @example `partialDir: '.partial'`
   */
  partialDir?: PathLike | undefined;
  /**
   * A directory in which files are until they are complete; it has to be there. From another file system they are copied, and
   * no parts are kept of files that did not come whole. A relative one begins at the destination; on a server it lies below
   * the prefix of the key.
   *
   * Default: none, files are beside their targets.
   *
   * @example `tempDir: '/var/tmp'`
   */
  tempDir?: PathLike | undefined;
  /**
   * Directories with other states of the tree, in order of preference: an entry that is the same there as at the source, with all
   * preserved attributes, is not made at the destination; if only attributes differ, it is copied from there. Relative ones begin
   * at the destination; on a server they lie below the prefix of the key, which needs the right `read`.
   *
   * Default: none.
   *
   * @example `compareDest: '../full'`
   */
  compareDest?: PathLike | readonly PathLike[] | undefined;
  /**
   * As {@link TransferOptions.compareDest}, but entries that are the same are copied.
   *
   * Default: none.
   *
   * @example `copyDest: '../full'`
   */
  copyDest?: PathLike | readonly PathLike[] | undefined;
  /**
   * As {@link TransferOptions.compareDest}, but entries that are the same become hard links: a snapshot that takes space only for
   * what changed.
   *
   * Default: none.
   *
   * @example `linkDest: '../2026-11-27'`
   */
  linkDest?: PathLike | readonly PathLike[] | undefined;
  /**
   * As {@link TransferOptions.linkDest}, but files that are the same become reflinks, files of their own that share their blocks
   * (as on XFS and btrfs). A file system without reflinks makes copies, with one warning.
   *
   * Default: none.
   *
   * @example `reflinkDest: '../2026-11-27'`
   */
  reflinkDest?: PathLike | readonly PathLike[] | undefined;
  /**
   * The most bytes that the sender sends per second, evenly spread; 0 is no limit. It applies in both directions.
   *
   * Default: `0`.
   *
   * @example `bwlimit: 2_000_000`
   */
  bwlimit?: number | undefined;
  /**
   * When the job stops, done or not: what has not arrived by then is left out, and the job rejects with `ERR_SPARSYNC_TIMEOUT`.
   *
   * Default: none.
   *
   * @example `stopAt: new Date(Date.now() + 3_600_000)`
   */
  stopAt?: Date | undefined;
  /**
   * Keep what is replaced or deleted under its name and {@link TransferOptions.suffix}. An entry whose attributes alone change is
   * not kept. Backups of earlier runs are deleted only by `deleteExcluded`. Without a `backupDir` the modification times of
   * directories are left alone, as by {@link TransferOptions.omitDirTimes}.
   *
   * Default: `false`, with `backupDir` `true`.
   *
   * @example `backup: true`
   */
  backup?: boolean | undefined;
  /**
   * The directory in which backups are kept, under the paths of what they are backups of. A relative one begins at the
   * destination; on a server it lies below the prefix of the key, and so does an absolute one.
   *
   * Default: none, backups are beside what they are backups of.
   *
   * @example `backupDir: '../old/2026-11-28'`
   */
  backupDir?: PathLike | undefined;
  /**
   * The suffix of the names of backups, without a slash.
   *
   * Default: `'~'`, with `backupDir` nothing.
   *
   * @example `backup: true, suffix: '.old'`
   */
  suffix?: string | undefined;
  /**
   * Delete from the destination what the source does not have, last, and only after the whole source was read without an error.
   *
   * Default: `false`.
   *
   * @example `delete: true`
   */
  delete?: boolean | undefined;
  /**
   * Remove what {@link TransferOptions.filter} excludes from the destination, too: rules that do not name an end then apply only to
   * the source. Turns `delete` on.
   *
   * Default: `false`.
   *
   * @example `filter: [{ exclude: '*.o' }], deleteExcluded: true`
   */
  deleteExcluded?: boolean | undefined;
  /**
   * Delete by the filter files that the destination has after the transfer, not by those that it had before. Turns `delete` on.
   *
   * Default: `false`.
   *
   * @example `filter: [{ dirMerge: '.rules' }], deleteAfter: true`
   */
  deleteAfter?: boolean | undefined;
  /**
   * What a missing source, or path of `filesFrom`, means: with `'fail'` an error, with `'ignore'` nothing; with `'delete'` it is
   * deleted from the destination, a directory that is not empty only with `delete` or `force`. Where the directory that should hold
   * it is missing as well, it is an error with `'delete'`, and with `'ignore'` unless that directory would arrive, too.
   *
   * Default: `'fail'`.
   *
   * @example `missingSources: 'ignore'`
   */
  missingSources?: MissingSources | undefined;
  /**
   * Delete even when a part of the source could not be read. The content of a directory that could not be listed still stays at the
   * destination.
   *
   * Default: `false`.
   *
   * @example `delete: true, ignoreErrors: true`
   */
  ignoreErrors?: boolean | undefined;
  /**
   * Replace a directory that is not empty if the source has something else than a directory in its place.
   *
   * Default: `false`; `delete` allows it too.
   *
   * @example `force: true`
   */
  force?: boolean | undefined;
  /**
   * The most entries that one run may delete; the others stay, and the job fails with `ERR_SPARSYNC_MAX_DELETE`.
   *
   * Default: no such limit.
   *
   * @example `delete: true, maxDelete: 1000`
   */
  maxDelete?: number | undefined;
  /**
   * Allow deletions that look like an accident: a source directory that is empty, or no longer a mount point, while its destination
   * is not empty; more than half of the destination deleted; or a source inside of its own destination.
   *
   * Default: `true` when the environment variable `SPARSYNC_GUARDS` is `off`, else `false`.
   *
   * @example `delete: true, allowMassDelete: true`
   */
  allowMassDelete?: boolean | undefined;
  /**
   * Find out from the real state of both sides what would be done, and write nothing.
   *
   * Default: `false`.
   *
   * @example `dryRun: true`
   */
  dryRun?: boolean | undefined;
  /**
   * What happens to a file that changes each of the three times that it is read. With `'fail'` it fails, and the destination keeps
   * what it has. With `'prefix'` a file that only grew, such as a log, arrives as it was when it was opened: its beginning is read
   * twice, and must be the same both times. A warning (`grown`) names it, and the next run treats it as changed.
   *
   * Default: `'fail'`.
   *
   * @example `changing: 'prefix'`
   */
  changing?: Changing | undefined;
  /**
   * Read the content of each file from a view of it that is frozen at one moment, unaffected by programs that write meanwhile: an
   * unnamed file that shares its blocks (`FICLONE`, on XFS, Btrfs and the like). Where the file system cannot do that, or nothing
   * can be written, files are read as usual, and a warning (`not-frozen`) says so once. In a pull the server does it, but not in a
   * read-only root.
   *
   * Default: `false`.
   *
   * @example `await sync('/srv/vm/', 'sparsync://host/vm/', { snapshotRead: true })`
   */
  snapshotRead?: boolean | undefined;
  /**
   * What is on disk when the job resolves: with `'run'`, everything that it wrote; with `'file'`, also each file before it gets its
   * name; with `'none'`, whatever the system has written by then. The receiver's operator may require more.
   *
   * Default: `'run'`.
   *
   * @example `durability: 'none'`
   */
  durability?: Durability | undefined;
  /**
   * Reserve the space of each file at the destination before it is written, so that it is available, and in few pieces. The length
   * grows as content arrives. One warning says if the file system cannot do this. It cannot be combined with `sparse`.
   *
   * Default: `false`.
   *
   * @example `preallocate: true`
   */
  preallocate?: boolean | undefined;
  /**
   * Do not compress files whose names end in a dot and one of these suffixes, separated by slashes; `[…]` stands for one of some
   * characters, and case is ignored. At most 4096 bytes.
   *
   * Default: none; whether compression pays is always measured.
   *
   * @example `skipCompress: 'gz/zip/jp[e]g/mp[34]'`
   */
  skipCompress?: string | undefined;
  /**
   * Whether content is compressed (LZ4) on the way: `'always'`, `'never'`, or `'auto'`, which compresses only while the connection is slower
   * than compressing. What does not become smaller is sent as it is.
   *
   * Default: `'auto'`.
   *
   * @example `compression: 'never'`
   */
  compression?: Compression | undefined;
  /**
   * How long to wait for another run that is writing to the same destination, in milliseconds; `0` fails at once.
   *
   * Default: `0`. Range: 0 to 86,400,000.
   *
   * @example `lockWaitMs: 60_000`
   */
  lockWaitMs?: number | undefined;
  /**
   * The job fails when neither side did any work for this many milliseconds; with `0`, never. Reading, hashing and flushing are
   * work.
   *
   * Default: `60_000`. Range: 0 to 86,400,000.
   *
   * @example `timeoutMs: 300_000`
   */
  timeoutMs?: number | undefined;
  /**
   * Lanes that transfer content in parallel, each with a reader at one end and a writer at the other; with `0` the engine chooses,
   * which takes two.
   *
   * Default: the environment variable `SPARSYNC_BATCH_WRITE_CONCURRENCY` (1 to 4) where it is set, else `0`. Range: 0 to 4.
   *
   * @example `lanes: 1`
   */
  lanes?: number | undefined;
  /**
   * Turn blocks of zeros (4 KiB) into holes, whatever the source has allocated for them. Holes of the source stay holes without it.
   * A file that ends in a hole is flushed before it gets its name.
   *
   * Default: `false`.
   *
   * @example `sparse: true`
   */
  sparse?: boolean | undefined;
  /**
   * Keep the verified part of a large file for a day when a run is interrupted, so that the next one continues from there.
   *
   * Default: `true`.
   *
   * @example `partial: false`
   */
  partial?: boolean | undefined;
  /**
   * Whether both ends report where their time went, in `profile` of the result. It costs less than 2 % of the instructions, and on
   * a pull one round trip. The server reports names of threads, times and counts, but no paths.
   *
   * Default: `true` when the environment variable `SPARSYNC_PROFILE` is set to anything but `0`, else `false`.
   *
   * @example `const { profile } = await sync(source, destination, { profile: true })`
   */
  profile?: boolean | undefined;
  /**
   * rsync's rule for the destination: a source without a slash at its end is put below the destination under its own name, and one
   * that is a symlink is copied as a symlink. Otherwise a slash has no meaning, a symlink to a directory stands for that directory,
   * and the destination is brought up to date with the source itself.
   *
   * Default: `false`.
   *
   * @example `await sync('photos', '/backup', { into: true })` // makes /backup/photos
   */
  into?: boolean | undefined;
  /** Which events the job emits. See {@link EventOptions}. */
  events?: EventOptions | undefined;
  /**
   * Each item describes the source's entry (`details`): mode, owner, group, time, and the target of a symlink; the counters count
   * each kind of entry.
   *
   * Default: `false`.
   *
   * @example `for await (const event of sync('photos', '/backup', { itemDetails: true })) …`
   */
  itemDetails?: boolean | undefined;
  /**
   * There is also an item (`keep`) for each unchanged entry. Each directory is then compared entry by entry, so a run without a
   * change takes two round trips.
   *
   * Default: `false`.
   *
   * @example `{ itemUnchanged: true }`
   */
  itemUnchanged?: boolean | undefined;
  /**
   * Whether the items of deletions come before all others. These then wait until both ends are known, as long as there are no more
   * than 100,000 of them. With `deleteAfter`, `maxDelete`, `detectRenames`, `itemBackups` and plans they come when it is done.
   *
   * Default: `false`.
   *
   * @example `{ delete: true, itemDeletionsFirst: true }`
   */
  itemDeletionsFirst?: boolean | undefined;
  /**
   * There is also an item (`backup`) for each entry that becomes a backup, besides the one of its replacement.
   *
   * Default: `false`.
   *
   * @example `{ backup: true, itemBackups: true }`
   */
  itemBackups?: boolean | undefined;
  /**
   * With `removeSourceFiles` there is also an item (`remove`) for each entry that was deleted at the source, after all others. An
   * older server sends none.
   *
   * Default: `false`.
   *
   * @example `{ removeSourceFiles: true, itemRemovals: true }`
   */
  itemRemovals?: boolean | undefined;
  /**
   * Writes nothing but this file: the plan of what would be done, for `applyPlan`. It is JSON, one object per line, and gets its
   * name when it is complete.
   *
   * Default: none.
   *
   * @example `await sync('./site', '/srv/www', { delete: true, savePlan: 'site.plan' })`
   */
  savePlan?: string | undefined;
  /**
   * Does exactly what the plan in this file says, with the same operands and options. Where either tree has changed since, it
   * refuses (`ERR_SPARSYNC_PLAN_STALE`) before the first write, or, if that happens during the run, at the entry concerned.
   *
   * Default: none.
   *
   * @example `await sync('./site', '/srv/www', { delete: true, applyPlan: 'site.plan' })`
   */
  applyPlan?: string | undefined;
  /**
   * Also writes what is sent to this file, a batch, so that it can be sent again to other destinations that have the old state of
   * this one. It has the attributes of everything, and the content of the files that were sent. The source must be on this machine.
   *
   * Default: none.
   *
   * @example `await sync('./site', '/srv/one', { delete: true, writeBatch: 'site.batch' })`
   */
  writeBatch?: PathLike | undefined;
  /**
   * Writes nothing but this file: the batch of what would be sent.
   *
   * Default: none.
   *
   * @example `onlyWriteBatch: 'site.batch'`
   */
  onlyWriteBatch?: PathLike | undefined;
  /**
   * Sends what this batch has; the source must be an empty list. A pipe, or `/dev/stdin` for standard input, is read to its end
   * first (into an unnamed file in the folder for temporary files). The batch determines which entries and attributes belong to the
   * run, the options of this call what is deleted. A file that the destination needs, but that was not sent when the batch was
   * written, fails.
   *
   * Default: none.
   *
   * @example `await sync([], '/srv/two', { delete: true, readBatch: 'site.batch' })`
   */
  readBatch?: PathLike | undefined;
  /**
   * Try again when the connection fails or breaks: a number of further attempts, or limits in detail. Errors of trust,
   * access, the delete guard and a full disk are never tried again.
   *
   * Default: `false`.
   *
   * @example `retry: 3`
   * @example `retry: { attempts: 100, deadlineMs: 600_000 }`
   */
  retry?: number | false | RetryOptions | undefined;
  /**
   * Cancels the job. What arrived stays; the job then rejects with `signal.reason` itself.
   *
   * Default: none.
   *
   * @example `signal: AbortSignal.timeout(60_000)`
   */
  signal?: PlatformAbortSignal | undefined;
}

/** Options of `sync`; `plan` and `verify` take most of them. */
export interface SyncOptions extends ConnectOptions, TransferOptions {}

/** Options of `plan`: those of `sync`, except what only concerns writing. */
export type PlanOptions = Omit<SyncOptions, (typeof NOT_IN_PLAN)[number]>;

/** Options of `verify`: those of `sync` that say what is compared and how it is reached. */
export type VerifyOptions = Omit<SyncOptions, (typeof NOT_IN_VERIFY)[number]>;
