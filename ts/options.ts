import type { Congestion } from './congestion.js';
import type { TransportChoice } from './transports.js';
import type { Logger } from './logger.js';
import type { PathLike } from './paths.js';
import type { PlatformAbortSignal } from './platform.js';
import type { NOT_IN_PLAN, NOT_IN_VERIFY } from './transfer.js';
import type { Changing, Compare, Compression, Durability, MissingSources } from './words.js';

/** A snapshot that is made, and those that stay. */
export interface SnapshotOptions {
  /**
   * What did not change is linked to this directory, a relative path beginning at the series, and not to the newest snapshot;
   * `false`: nothing is linked, and everything sent.
   *
   * Default: the newest snapshot.
   *
   * @example `snapshot: { previous: '2026-11-01T00-00-00Z' }`
   */
  previous?: PathLike | false | undefined;
  /**
   * What did not change becomes a file of its own that shares its blocks with that (a reflink), in place of a hard link: what writes to one
   * snapshot, or changes its attributes, leaves the others alone. Where the file system has no reflinks it is copied, which is told once.
   *
   * Default: `false`.
   *
   * @example `snapshot: { reflink: true }`
   */
  reflink?: boolean | undefined;
  /**
   * Which snapshots stay, once the new one is made; what has no snapshot's name stays in any case, and so does the newest one.
   * Nothing is removed when something is missing in the new one, unless `ignoreErrors` says so. Of moments to come none is counted or removed.
   *
   * Default: all stay.
   *
   * @example `snapshot: { keep: { last: 3, daily: 7, monthly: 12 } }`
   */
  keep?: KeepRule | undefined;
}

/**
 * How many snapshots stay: so many of the last, and the last one of so many hours, days, weeks (from Monday), months and years that have
 * any, in UTC. Each number counts for itself; the oldest snapshot stays too while one of them is not reached.
 */
export interface KeepRule {
  /** The last ones, 0 to 1,000,000; so are the others. Default: `0`. */
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

/** How this process shows who it is. */
export interface IdentityOptions {
  /**
   * File of the private key (Ed25519, PKCS #8, PEM). It is made, with mode 0600, when it is missing.
   *
   * Default: `key.pem` in the configuration folder.
   *
   * @example `identity: { keyPath: '/etc/backup/key.pem' }`
   */
  keyPath?: string | undefined;
  /**
   * The private key itself in PEM form, for instance out of a secret store. Excludes `keyPath`.
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

/** Which servers are believed to be who they say. */
export interface TrustOptions {
  /**
   * The keys that the server may have, `ed25519:BASE64`. When given, `knownHosts` is not looked at.
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
   * What to do with a server that is not pinned yet: `'refuse'` it, or `'accept'` it this once and pin it.
   * A server whose key has changed is refused in any case.
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

/** When a failed attempt is followed by another one. */
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
   * No attempt begins later than so many milliseconds after the call.
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

/** Which events a job makes and what happens when nobody reads them fast enough. */
export interface EventOptions {
  /**
   * Whether there is an `item` event for every path that is changed.
   *
   * Default: `true` when the job is iterated in the same tick as it was made, else `false`.
   *
   * @example `events: { items: false }`
   */
  items?: boolean | undefined;
  /**
   * Whether there is a `filter` event for every entry about which a filter rule decides at an end that is here: of a push at the
   * source, of a pull at the destination, there with `delete` alone. What a server's end decides `explain` tells, path by path.
   *
   * Default: `false`.
   *
   * @example `events: { filter: true }`
   */
  filter?: boolean | undefined;
  /**
   * What happens when events are not read as fast as they come: `'drop'` drops item and filter events and counts them in a
   * `dropped` event, so that the transfer goes on at full speed; `'wait'` lets the transfer wait for the reader.
   *
   * Default: `'drop'`.
   *
   * @example `events: { items: true, whenFull: 'wait' }`
   */
  whenFull?: 'drop' | 'wait' | undefined;
}

/** How to reach a server, and how both ends know each other. */
export interface ConnectOptions {
  /** Who this process is. Default: the key of this user, see {@link IdentityOptions}. */
  identity?: IdentityOptions | undefined;
  /** Who the server may be. Default: the pins of this user, see {@link TrustOptions}. */
  trust?: TrustOptions | undefined;
  /**
   * Time for reaching the server, handshake and authentication together, in milliseconds, over all its addresses.
   *
   * Default: `10_000`. Range: 1 to 3,600,000.
   *
   * @example `connectTimeoutMs: 2000`
   */
  connectTimeoutMs?: number | undefined;
  /**
   * A connection on which nothing at all arrives for so many milliseconds is lost.
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
   * What decides how much this side sends: `'bbr'` goes by what the path delivers, so that losses which it does not cause
   * cost little; `'cubic'` by losses alone, as most of TCP does. What the server sends is its own option.
   *
   * Default: `'auto'`, which is `'cubic'` on loopback and `'bbr'` everywhere else.
   *
   * @example `congestion: 'cubic'`
   */
  congestion?: Congestion | undefined;
  /**
   * What may carry the run. To a server: `'quic'` over UDP, or TLS over `'tcp'`, at the same port; either proves the same keys.
   * Over ssh: the `'pipe'` alone, or `'quic'` beside it for all content.
   *
   * Default: `'auto'`, which is QUIC, and TCP or the pipe where UDP gets no answer.
   *
   * @example `transport: 'tcp'`
   */
  transport?: TransportChoice | undefined;
  /**
   * The family of addresses by which the server is reached, or the host by ssh: 4 or 6.
   *
   * Default: either, the system's favourite first.
   *
   * @example `family: 4`
   */
  family?: 4 | 6 | undefined;
  /**
   * The address of this machine to send from, an IPv4 or IPv6 address, which decides about the family as well.
   *
   * Default: the system chooses.
   *
   * @example `localAddress: '192.0.2.7'`
   */
  localAddress?: string | undefined;
  /**
   * The UDP ports of which the other end of ssh may take one, `'LOW-HIGH'`, for a firewall there.
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
   * The program that is started at the other end of a command's pipe. The remote shell reads it, so it may be several words.
   *
   * Default: `'sparsync-remote'`.
   *
   * @example `remotePath: 'sudo sparsync-remote'`
   */
  remotePath?: string | undefined;
  /**
   * Puts `sparsync-remote` at the other end when it is missing there, over the same connection: into the cache folder of the user, under
   * a name that says its content, which is verified before each use; with `'temp'` for this one run. For ssh, for a remote shell of
   * another name, and for the commands of a {@link CommandPlace}.
   *
   * Default: `false`, which says what to do.
   *
   * @example `bootstrap: true`
   */
  bootstrap?: boolean | 'temp' | undefined;
  /**
   * Is told of each run, by the functions `debug`, `info`, `warn` and `error`, which take facts for programs, then a text: pino's
   * shape. Begins and connections are `debug`, ends `info`, paths that failed, warnings and retries `warn`, errors `error`.
   *
   * Default: none.
   *
   * @example `logger: pino()`
   */
  logger?: Logger | undefined;
}

/**
 * A rule of a filter: one of those that have a pattern, as text or bytes, or one that stands for the rules of files. `exclude`
 * and `include` are for both ends, unless `end` says for which, or `deleteExcluded` makes them rules for the sender; `hide`
 * and `show` are for what is sent, `protect` and `risk` for what may be deleted.
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
  /** A file of this machine, whose rules stand here; `-` is standard input. It is read when the call is made. */
  mergeFile?: string | Uint8Array | undefined;
  /**
   * The name of a file that is looked for in each directory: its rules stand here for that directory and those below it, and
   * each end reads its own. With a path before it (`/`, `../`) it is looked for in the directories above the top of the
   * transfer too, from there on.
   */
  dirMerge?: string | Uint8Array | undefined;
  /** A file of this machine with a pattern on each line: all are excluded, but for those that begin with `+ `. */
  excludeFrom?: string | Uint8Array | undefined;
  /** A file of this machine with a pattern on each line: all are included, but for those that begin with `- `. */
  includeFrom?: string | Uint8Array | undefined;
  /** A rule in rsync's text, for `from0` beside it. */
  rule?: string | Uint8Array | undefined;
  /** A NUL ends each rule of the files that the rule names, and not a line. Default: `false`. */
  from0?: boolean | undefined;
  /** The rule is for what the pattern does not match. Default: `false`. */
  negate?: boolean | undefined;
  /** The rule keeps nothing that lies in a directory which is deleted. Default: `false`. */
  perishable?: boolean | undefined;
  /** The pattern is compared with the path in the file system, or below the server's root. Default: `false`. */
  absolute?: boolean | undefined;
  /** The pattern is compared with names of extended attributes, and not of entries. Default: `false`. */
  xattr?: boolean | undefined;
  /** The one end that the rule is for. Default: both. */
  end?: 'sender' | 'receiver' | undefined;
  /** Of files: they hold patterns alone, which are all of this kind. Default: rules. */
  patterns?: 'exclude' | 'include' | undefined;
  /** Of files: rules stand between blanks. Default: `false`, one on each line. */
  wordSplit?: boolean | undefined;
  /** Of files in directories: what one says is not in force below its directory. Default: `false`. */
  noInherit?: boolean | undefined;
  /** Of files: they are excluded themselves. Default: `false`. */
  excludeSelf?: boolean | undefined;
  /** Of files: they are those of CVS, patterns between blanks that are not inherited. Default: `false`. */
  cvs?: boolean | undefined;
}

/** What is transferred, how it is compared, and what the destination must not lose. */
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
   * Carry symlinks, as links. Otherwise they are left out.
   *
   * Default: `true`.
   *
   * @example `links: false`
   */
  links?: boolean | undefined;
  /**
   * Take symlinks of the source for what they lead to: files and directories arrive in their place. On this machine they lead
   * anywhere; those of a server lead to what the key may read below its prefix, and nowhere else. One that leads to nothing,
   * or to where nothing may be read, is a failure of its path.
   *
   * Default: `false`.
   *
   * @example `copyLinks: true`
   */
  copyLinks?: boolean | undefined;
  /**
   * The same for symlinks that lead to directories; others stay what they are.
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
   * Where the source has a directory, and the destination a symlink that leads to one, write to that one. A symlink leads no
   * further than below the destination; at a server, than below the key's prefix. One that leads out stays as it is, and is a
   * failure of its path and all below it.
   *
   * Default: `false`.
   *
   * @example `keepDirLinks: true`
   */
  keepDirLinks?: boolean | undefined;
  /**
   * Leave symlinks alone that lead out of the tree, by their text: absolute ones, those that climb above the top, and those
   * with `..` behind a name. Each is a warning (`unsafe-link`), and what the destination has by its name stays.
   *
   * Default: `false`.
   *
   * @example `safeLinks: true`
   */
  safeLinks?: boolean | undefined;
  /**
   * On this side symlinks lead nowhere: what arrives is written with `/rsyncd-munged/` before its target, and what is sent is
   * read without, as rsync does.
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
   * Store what takes root as extended attributes of one's own, and read it from there, as rsync does: owners, modes, devices,
   * FIFOs, sockets and symlinks as files, ACLs, and attributes of other namespaces. It is for this side, and between two
   * local folders for both. What rsync has stored is read, and it reads what is stored here.
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
   * Make POSIX ACLs equal, those of entries and the default ones of directories; a server asks for the right `acls`. With
   * `perms: false` what an ACL repeats of the mode is that of the destination's entry. It costs a system call or more for each
   * entry at both ends.
   *
   * Default: `false`.
   *
   * @example `acls: true`
   */
  acls?: boolean | undefined;
  /**
   * Make devices at the destination, which takes root there; a server asks for the right `special` besides. Where that is
   * missing, or without this option, they are left out, each with a warning.
   *
   * Default: `true`.
   *
   * @example `devices: false`
   */
  devices?: boolean | undefined;
  /**
   * Let devices of the source arrive as files of what they hold, with the mode and owner of the device, and the time of the run: what is written to a
   * device need not change its time, so it is looked at each time. A character device is not opened, and arrives empty. To pull them takes the right `special` at a server.
   *
   * Default: `false`.
   *
   * @example `await sync('/dev/vdb', 'disk.img', { copyDevices: true })`
   */
  copyDevices?: boolean | undefined;
  /**
   * Make FIFOs (named pipes) and sockets at the destination; a server asks for the right `special`. Otherwise they are
   * left out.
   *
   * Default: `true`.
   *
   * @example `specials: false`
   */
  specials?: boolean | undefined;
  /**
   * Make modes equal.
   *
   * Default: `true`.
   *
   * @example `perms: false`
   */
  perms?: boolean | undefined;
  /**
   * Without `perms`: let a file at the destination be executed if it can be at the source. Who may read it may execute it
   * then; other bits stay.
   *
   * Default: `false`.
   *
   * @example `perms: false, executability: true`
   */
  executability?: boolean | undefined;
  /**
   * Take the modes of the source for what these changes make of them: octal numbers, or letters as `chmod` has them, with `D`
   * in front for directories alone and `F` for everything else, and commas between them. What is compared and carried is the
   * result. A change that names nobody (`+w`) leaves alone what this process' umask does. At most 4 KiB.
   *
   * Default: none.
   *
   * @example `chmod: 'D755,F644'`
   */
  chmod?: string | undefined;
  /**
   * Make modification times equal, to the nanosecond. Without them the quick compare cannot recognise an unchanged file.
   *
   * Default: `true`.
   *
   * @example `times: false`
   */
  times?: boolean | undefined;
  /**
   * Make access times equal, those of everything but directories. Reading a file changes its own at the source, so the next run
   * finds it changed unless {@link TransferOptions.openNoatime} is on, or the file system does not note it.
   *
   * Default: `false`.
   *
   * @example `atimes: true, openNoatime: true`
   */
  atimes?: boolean | undefined;
  /**
   * Read files without changing their access times, at both ends. The system allows it for one's own files, and root for all;
   * others are read as always.
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
   * Let an attribute that the destination's file system cannot hold be a failure of each entry that has one. Otherwise there
   * is one warning (`attributes-unheld`) for each kind of attribute and file system.
   *
   * Default: `false`.
   *
   * @example `xattrs: true, strictAttributes: true`
   */
  strictAttributes?: boolean | undefined;
  /**
   * Make owners equal, by name: who has no name at the source, or one that the destination does not know, is known by number
   * (see {@link TransferOptions.numericIds}). Needs privileges at the destination, and permission from its server.
   *
   * Default: `false`.
   *
   * @example `owner: true, group: true`
   */
  owner?: boolean | undefined;
  /**
   * Make groups equal, by name as owners are. Who is not root can set the groups that he is in; other groups stay as they
   * are. A server asks for the right `owner`.
   *
   * Default: `false`.
   *
   * @example `group: true`
   */
  group?: boolean | undefined;
  /**
   * Carry owners and groups by their numbers, whatever they are called on either machine.
   *
   * Default: `false`.
   *
   * @example `owner: true, numericIds: true`
   */
  numericIds?: boolean | undefined;
  /**
   * Who owns at the destination what somebody owns at the source: rules `FROM:TO` with commas between them, of which the
   * first that matches decides; whom none matches is carried as always. FROM is a name, a name with wildcards (`*`, `?`,
   * `[a-z]`), a number, a range of numbers (`1000-1999`), `*` for everybody, or empty for whoever has no name; TO is a name
   * at the destination or a number. A rule to a name that is unknown there is passed over with a warning. Turns `owner` on. At
   * most 64 KiB.
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
   * The owner, the group, or both that everything gets: `'USER:GROUP'`, `'USER'` or `':GROUP'`, by name at the destination or
   * by number. It is the rule `*:USER` of `usermap` and `*:GROUP` of `groupmap`, and excludes those.
   *
   * Default: none.
   *
   * @example `chown: 'www-data:www-data'`
   */
  chown?: string | undefined;
  /**
   * Whether the receiving end tries what takes the rights of root: setting owners, and groups that it is not in. `true` lets one
   * try who is not root, and tells each failure; `false` keeps root from it.
   *
   * Default: whether it runs as root.
   *
   * @example `owner: true, superUser: false`
   */
  superUser?: boolean | undefined;
  /**
   * Make extended attributes equal: those of files and directories in the namespace `user.`, and where this process is root
   * those of every entry in every namespace but `system.`, which a server takes from keys with the right `xattrs`. A file's
   * capabilities (`security.capability`) are carried under the same owner alone. It costs a system call or more for each
   * entry at both ends.
   *
   * Default: `false`.
   *
   * @example `xattrs: true`
   */
  xattrs?: boolean | undefined;
  /**
   * Make hard links: what has several names in the source becomes one entry with as many names at the destination, and its
   * content is transferred once. Files, symlinks and special files can be linked. An existing link between names that the
   * source does not link stays, as in rsync, until one of them changes. It costs memory for each entry with several names.
   *
   * Default: `false`; every name arrives as a file of its own.
   *
   * @example `hardLinks: true`
   */
  hardLinks?: boolean | undefined;
  /**
   * Go into no directory of a source where another file system begins than the one that the source itself is in: it is made, and
   * what the destination holds in it stays. At the destination nothing of another file system than its top's is deleted.
   *
   * Default: `false`.
   *
   * @example `await sync('/', '/mnt/backup', { oneFileSystem: true })`
   */
  oneFileSystem?: boolean | undefined;
  /**
   * With `oneFileSystem`, leave the directories out where another file system begins: with `delete` the destination loses its own.
   *
   * Default: `false`.
   *
   * @example `{ oneFileSystem: true, omitMountPoints: true }`
   */
  omitMountPoints?: boolean | undefined;
  /**
   * Leave out directories of the source that hold nothing but directories, as the run sees them: what a filter leaves out does
   * not count. The top stays, and so does what a rule protects (`{ protect: 'tmp/' }`). With `delete` the destination loses
   * what was left out.
   *
   * Default: `false`.
   *
   * @example `pruneEmptyDirs: true`
   */
  pruneEmptyDirs?: boolean | undefined;
  /**
   * Without `recursive`: carry directories themselves, and do not go into them.
   *
   * Default: `false`.
   *
   * @example `await sync('src', 'dst', { recursive: false, dirs: true })`
   */
  dirs?: boolean | undefined;
  /**
   * Let each source arrive under its whole path, or the part of it behind `/./`, as `-R` does in rsync. The directories on the
   * way are made, with the attributes that they have at the source unless `impliedDirs` is `false`; what else the destination
   * holds in them stays. Symlinks on the way are followed, on a server they are refused.
   *
   * Default: `false`; `true` with `filesFrom`.
   *
   * @example `await sync('/srv/./www/site', '/backup', { relative: true })` // makes /backup/www/site
   */
  relative?: boolean | undefined;
  /**
   * Carry the attributes of the directories on the way to a source of `relative` or a path of `filesFrom`. Without it those that
   * are missing are made with the attributes of any new directory.
   *
   * Default: `true`.
   *
   * @example `impliedDirs: false`
   */
  impliedDirs?: boolean | undefined;
  /**
   * The only paths below the one source that belong to the run; with `recursive` also what is below them. A path that ends
   * with a slash stands, without `recursive`, for a directory and its direct entries, and `.` for the source itself. One that
   * the source does not have is told, and costs nothing else. `..` goes no higher than the source. At most 32 MiB in all;
   * an empty list is nothing.
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
   * How far two times may be apart and still be equal, in nanoseconds: `-1` for not at all, `0` to compare whole
   * seconds as rsync does. Of times that are compared with whole seconds the parts of a second do not count.
   *
   * Default: `-1`. Range: -1 to 86,400,000,000,000 (a day).
   *
   * @example `modifyWindowNs: 2_000_000_000` // a FAT file system
   */
  modifyWindowNs?: number | undefined;
  /**
   * Leave files alone that are newer at the destination.
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
   * Leave alone what the destination has, whatever it holds; only what is missing is made. Directories are looked into.
   *
   * Default: `false`.
   *
   * @example `ignoreExisting: true`
   */
  ignoreExisting?: boolean | undefined;
  /**
   * Make nothing that the destination does not have, neither files nor directories; what it has is brought up to date.
   *
   * Default: `false`.
   *
   * @example `existing: true`
   */
  existing?: boolean | undefined;
  /**
   * Leave files of more than so many bytes alone, at both ends: what the destination has of them stays, with `delete` too.
   *
   * Default: no such limit. Range: 0 to 2^53 - 1.
   *
   * @example `maxSize: 100 * 1024 * 1024`
   */
  maxSize?: number | undefined;
  /**
   * Leave files of fewer bytes alone, at both ends: what the destination has of them stays, with `delete` too.
   *
   * Default: no such limit. Range: 0 to 2^53 - 1.
   *
   * @example `minSize: 1`
   */
  minSize?: number | undefined;
  /**
   * Which entries belong to the run, with rsync's meaning: the first rule that matches an entry decides, and what no rule
   * matches belongs to it. What is excluded is neither looked at in the source nor deleted at the destination, with all
   * that is below it. A rule is an object, or rsync's text (`'- *.tmp'`, `'P .cache/'`). Patterns begin at the top of the
   * transfer when they begin with `/`, and mean directories when they end in one; see docs/filters.md. At most 256 KiB.
   *
   * Default: none.
   *
   * @example `filter: [{ include: '*.keep.tmp' }, { exclude: '*.tmp' }, { mergeFile: '.syncignore' }, { dirMerge: '.rsync-filter' }]`
   */
  filter?: readonly (string | Uint8Array | FilterRule)[] | undefined;
  /**
   * Leave out what git ignores where no rule of {@link TransferOptions.filter} decides: by the files `.gitignore` of the
   * tree and of the repository that holds it, and `.git/info/exclude`. Each end reads its own; see docs/filters.md.
   *
   * Default: `false`.
   *
   * @example `gitignore: true`
   */
  gitignore?: boolean | undefined;
  /**
   * Write over files that are there instead of replacing them: they keep their inode and their hard links, and a reader, a run
   * that is cut off and a failure see a mix of old and new content. A server refuses it for a file with further hard links.
   *
   * Default: `false`.
   *
   * @example `inplace: true`
   */
  inplace?: boolean | undefined;
  /**
   * Write the content of a file to the device that has its place at the destination, in place of making a file of it; turns `inplace` on. A
   * device is as a file of all that it holds: when its size and time are the file's it is passed over, and what lies behind the end of a
   * shorter file stays. A block device that is mounted, or in use otherwise, is refused. On a server it takes the rights `write` and `special`.
   *
   * Default: `false`.
   *
   * @example `await sync('disk.img', '/dev/vdb', { writeDevices: true })`
   */
  writeDevices?: boolean | undefined;
  /**
   * Send files that changed whole. Otherwise, of those from 256 KiB on, what the destination has of them in any place does not
   * travel: both ends compare parts of what they have by digests. A server tells those to a key with the right `read` alone.
   *
   * Default: `true` between folders of one machine, else `false`.
   *
   * @example `wholeFile: true`
   */
  wholeFile?: boolean | undefined;
  /**
   * Give files that are shorter than at the source what they lack, in place; what is there is verified first, and where it is
   * not the beginning of the source's file all is written. Files that are as long or longer get no content.
   *
   * Default: `false`.
   *
   * @example `append: true`
   */
  append?: boolean | undefined;
  /**
   * Send of a large file that is new at the destination what a file there lacks that is probably an older one of it: one in the same
   * directory with its size and time, or with the most similar name. Nothing depends on what is taken but how much travels. At a
   * server the key needs the right `read`.
   *
   * Default: `false`.
   *
   * @example `await sync('./logs', 'sparsync://host/logs/', { fuzzy: true })`
   */
  fuzzy?: boolean | undefined;
  /**
   * With `fuzzy`, look for such files in the directories of `compareDest`, `copyDest` or `linkDest` too.
   *
   * Default: `false`.
   *
   * @example `{ fuzzy: true, fuzzyDest: true, linkDest: ['../yesterday'] }`
   */
  fuzzyDest?: boolean | undefined;
  /**
   * With `delete`, do not send a file again that was moved or renamed, in whatever directory it is now: a file that the destination lacks
   * is taken from one that is to be deleted there and has its size, its time and, by a digest of all of it, its content. Such files are
   * asked for when both sides are known in full. At a server the key needs the right `read`.
   *
   * Default: `false`.
   *
   * @example `await sync('./photos/', 'sparsync://host/photos/', { delete: true, detectRenames: true })`
   */
  detectRenames?: boolean | undefined;
  /**
   * Between two folders of one machine, hash content where it is read and where it is written, as over a network. Otherwise large files are
   * copied by the kernel, without copying on a file system that lets files share blocks, and a file that changes meanwhile is found by
   * a look before and after. No effect on anything else.
   *
   * Default: `false`.
   *
   * @example `await sync('/data', '/mnt/backup', { verifyCopies: true })`
   */
  verifyCopies?: boolean | undefined;
  /**
   * Remove everything but directories at the source that has arrived, or stood at the destination already, once all of it is on
   * disk there. What has changed since it was listed stays. In a pull the key needs the right `delete`.
   *
   * Default: `false`.
   *
   * @example `removeSourceFiles: true`
   */
  removeSourceFiles?: boolean | undefined;
  /**
   * Give files their names at the end, when all content has come, so that the tree changes within a moment. What has no name
   * when a run ends early is removed, and sent again.
   *
   * Default: `false`.
   *
   * @example `delayUpdates: true`
   */
  delayUpdates?: boolean | undefined;
  /**
   * Make the whole tree beside the one that stands at the destination, with what does not change shared, and exchange the two in one
   * step when all of it is there and on disk: whoever opens the destination gets the old tree or the new one. Where a path fails nothing changes.
   * Not for a single file, a mount point, the top of a root or of what a key reaches, and not with `inplace`, `append`, `hardLinks`,
   * `keepDirLinks`, `backup` and `removeSourceFiles`. At a server the key needs the rights `write` and `delete`.
   *
   * Default: `false`.
   *
   * @example `await sync('./dist', 'sparsync://host/www/site', { delete: true, publish: true })`
   */
  publish?: boolean | undefined;
  /**
   * With `publish`, keep the tree that was there under the destination's name with `.previous` behind it, in place of the one before.
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
   * Directories with other states of the tree, in their order: what one of them has as the source has it, with all that is
   * carried, is not made at the destination; where attributes alone differ it is copied from there. Relative ones begin at
   * the destination; on a server they lie below the prefix of the key, which needs the right `read`.
   *
   * Default: none.
   *
   * @example `compareDest: '../full'`
   */
  compareDest?: PathLike | readonly PathLike[] | undefined;
  /**
   * As {@link TransferOptions.compareDest}, but what is alike is copied.
   *
   * Default: none.
   *
   * @example `copyDest: '../full'`
   */
  copyDest?: PathLike | readonly PathLike[] | undefined;
  /**
   * As {@link TransferOptions.compareDest}, but what is alike becomes a hard link: a snapshot that takes room for what has
   * changed alone.
   *
   * Default: none.
   *
   * @example `linkDest: '../2026-11-27'`
   */
  linkDest?: PathLike | readonly PathLike[] | undefined;
  /**
   * As {@link TransferOptions.linkDest}, but what is alike becomes a file of its own that shares its blocks with that (a reflink, as on XFS
   * and btrfs). Where the file system has none it is copied, which is told once as a warning.
   *
   * Default: none.
   *
   * @example `reflinkDest: '../2026-11-27'`
   */
  reflinkDest?: PathLike | readonly PathLike[] | undefined;
  /**
   * The most that the sender sends in a second, in bytes; 0 is no limit. What travels is spread evenly, in both directions.
   *
   * Default: `0`.
   *
   * @example `bwlimit: 2_000_000`
   */
  bwlimit?: number | undefined;
  /**
   * When the job ends, done or not: what has not come by then does not, and the job rejects with `ERR_SPARSYNC_TIMEOUT`.
   *
   * Default: none.
   *
   * @example `stopAt: new Date(Date.now() + 3_600_000)`
   */
  stopAt?: Date | undefined;
  /**
   * Keep what is replaced or deleted under its name and {@link TransferOptions.suffix}. An entry of which only attributes
   * change is not kept. Backups from earlier runs are not deleted, unless by `deleteExcluded`. Without a `backupDir` the
   * modification times of directories are left alone, as by {@link TransferOptions.omitDirTimes}.
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
   * What the names of backups end with, without a slash.
   *
   * Default: `'~'`, with `backupDir` nothing.
   *
   * @example `backup: true, suffix: '.old'`
   */
  suffix?: string | undefined;
  /**
   * Remove from the destination what the source does not have, last, and only after the source was read to its end
   * without error.
   *
   * Default: `false`.
   *
   * @example `delete: true`
   */
  delete?: boolean | undefined;
  /**
   * Remove what {@link TransferOptions.filter} leaves out from the destination as well: rules that do not say for which end
   * they are decide about the source alone. Turns `delete` on.
   *
   * Default: `false`.
   *
   * @example `filter: [{ exclude: '*.o' }], deleteExcluded: true`
   */
  deleteExcluded?: boolean | undefined;
  /**
   * Let the files of filter rules that the destination has after the transfer decide what is removed, not those that it had
   * before. Turns `delete` on.
   *
   * Default: `false`.
   *
   * @example `filter: [{ dirMerge: '.rules' }], deleteAfter: true`
   */
  deleteAfter?: boolean | undefined;
  /**
   * What a source that is not there is, or a path of `filesFrom`: `'fail'` an error, `'ignore'` nothing, `'delete'` something
   * to be removed from the destination, a directory that is not empty with `delete` or `force` alone.
   *
   * Default: `'fail'`.
   *
   * @example `missingSources: 'ignore'`
   */
  missingSources?: MissingSources | undefined;
  /**
   * Delete also when a part of the source could not be read. What the destination has of a directory that could not be
   * listed stays all the same.
   *
   * Default: `false`.
   *
   * @example `delete: true, ignoreErrors: true`
   */
  ignoreErrors?: boolean | undefined;
  /**
   * Replace a directory that is not empty by what the source has there, if that is not a directory.
   *
   * Default: `false`; `delete` allows it too.
   *
   * @example `force: true`
   */
  force?: boolean | undefined;
  /**
   * The most entries that one run may delete; what is beyond stays, and the job fails with `ERR_SPARSYNC_MAX_DELETE`.
   *
   * Default: no such limit.
   *
   * @example `delete: true, maxDelete: 1000`
   */
  maxDelete?: number | undefined;
  /**
   * Allow deletions that look like an accident: a source directory that is empty, or no mount point any more, while its destination
   * is full, more than half of the tree gone, or a source that lies in its own destination.
   *
   * Default: `true` when the environment variable `SPARSYNC_GUARDS` is `off`, else `false`.
   *
   * @example `delete: true, allowMassDelete: true`
   */
  allowMassDelete?: boolean | undefined;
  /**
   * Find out what would be done from the true state of both sides, and write nothing.
   *
   * Default: `false`.
   *
   * @example `dryRun: true`
   */
  dryRun?: boolean | undefined;
  /**
   * What becomes of a file that changes each of the three times it is read. With `'fail'` it fails, and what the destination
   * has stays. With `'prefix'` a file that only grew, such as a log, arrives as it was when it was opened: its beginning is
   * read twice and has to be the same both times. A warning (`grown`) names it, and the next run takes it for changed.
   *
   * Default: `'fail'`.
   *
   * @example `changing: 'prefix'`
   */
  changing?: Changing | undefined;
  /**
   * Read the content of each file from a view of it that is frozen at one moment, which programs that write meanwhile do not change: an
   * unnamed file that shares its blocks (`FICLONE`, on XFS, Btrfs and their like). On a file system that cannot do that, or where nothing can
   * be written, files are read as ever, and a warning (`not-frozen`) says so once. In a pull the server does it, not in a read-only root.
   *
   * Default: `false`.
   *
   * @example `await sync('/srv/vm/', 'sparsync://host/vm/', { snapshotRead: true })`
   */
  snapshotRead?: boolean | undefined;
  /**
   * What is on disk when the job resolves: `'run'` everything that it wrote, `'file'` besides each file before it gets its name,
   * `'none'` whatever the system has written by then. The receiver's operator may ask for more.
   *
   * Default: `'run'`.
   *
   * @example `durability: 'none'`
   */
  durability?: Durability | undefined;
  /**
   * Reserve the room of each file at the destination before it is written, so that it is there, and in few pieces. The length grows
   * as content comes. A file system that cannot is told once. Not with `sparse`.
   *
   * Default: `false`.
   *
   * @example `preallocate: true`
   */
  preallocate?: boolean | undefined;
  /**
   * Compress no file whose name ends in a dot and one of these, which have slashes between them; `[…]` stands for one of some characters, and
   * case does not count. At most 4096 bytes.
   *
   * Default: none; whether compression pays is measured in any case.
   *
   * @example `skipCompress: 'gz/zip/jp[e]g/mp[34]'`
   */
  skipCompress?: string | undefined;
  /**
   * Compress content on the way: `'auto'` only while the connection is slow enough for it to pay.
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
   * The job fails when neither side did any work for so long, in milliseconds; `0` never. Reading, hashing and
   * flushing are work.
   *
   * Default: `60_000`. Range: 0 to 86,400,000.
   *
   * @example `timeoutMs: 300_000`
   */
  timeoutMs?: number | undefined;
  /**
   * Lanes that carry content side by side, each with a reader of its own at one end and a writer at the other; `0`
   * leaves them to the engine, which takes two.
   *
   * Default: the environment variable `SPARSYNC_BATCH_WRITE_CONCURRENCY` (1 to 4) where it is set, else `0`. Range: 0 to 4.
   *
   * @example `lanes: 1`
   */
  lanes?: number | undefined;
  /**
   * Make holes of blocks of zeros (4 KiB) in what is written, whatever the source has allocated for them. Holes of the
   * source arrive as holes without it. A file that ends in a hole is flushed before it gets its name.
   *
   * Default: `false`.
   *
   * @example `sparse: true`
   */
  sparse?: boolean | undefined;
  /**
   * Keep what is verified of a large file when a run breaks off, for a day, so that the next one goes on from there.
   *
   * Default: `true`.
   *
   * @example `partial: false`
   */
  partial?: boolean | undefined;
  /**
   * Whether both ends tell where their time went, in `profile` of the result. It costs less than a fiftieth of the
   * instructions, and on a pull one round trip. The server tells names of threads, times and counts, no paths.
   *
   * Default: `true` when the environment variable `SPARSYNC_PROFILE` is set to anything but `0`, else `false`.
   *
   * @example `const { profile } = await sync(source, destination, { profile: true })`
   */
  profile?: boolean | undefined;
  /**
   * rsync's rule for the destination: a source without a slash at its end is put below the destination under its own
   * name, and one that is a symlink is copied as a symlink. Otherwise a slash means nothing, a symlink to a directory
   * stands for that directory, and the destination is made equal to the source.
   *
   * Default: `false`.
   *
   * @example `await sync('photos', '/backup', { into: true })` // makes /backup/photos
   */
  into?: boolean | undefined;
  /** Which events there are. See {@link EventOptions}. */
  events?: EventOptions | undefined;
  /**
   * Each item tells what the source's entry is (`details`): mode, owner, group, time, and where a symlink leads; and counters tell of
   * each kind of entry.
   *
   * Default: `false`.
   *
   * @example `for await (const event of sync('photos', '/backup', { itemDetails: true })) …`
   */
  itemDetails?: boolean | undefined;
  /**
   * There is an item (`keep`) for what is as it should be, too. Each directory is then compared entry by entry, so a run without a
   * change takes two round trips.
   *
   * Default: `false`.
   *
   * @example `{ itemUnchanged: true }`
   */
  itemUnchanged?: boolean | undefined;
  /**
   * Whether the items of what is deleted come before all others, which then wait until both ends are known, as long as there are no
   * more than 100,000 of them. With `deleteAfter`, `maxDelete`, `detectRenames`, `itemBackups` and plans they come when it is done.
   *
   * Default: `false`.
   *
   * @example `{ delete: true, itemDeletionsFirst: true }`
   */
  itemDeletionsFirst?: boolean | undefined;
  /**
   * There is an item (`backup`) for each entry that becomes a backup, too, beside the one of what takes its place.
   *
   * Default: `false`.
   *
   * @example `{ backup: true, itemBackups: true }`
   */
  itemBackups?: boolean | undefined;
  /**
   * With `removeSourceFiles` there is an item (`remove`) for each entry that was removed at the source, too, behind all others. A server
   * that does not know it tells none.
   *
   * Default: `false`.
   *
   * @example `{ removeSourceFiles: true, itemRemovals: true }`
   */
  itemRemovals?: boolean | undefined;
  /**
   * Writes nothing but this file: the plan of what would be done, for `applyPlan`. It is JSON, one object a line, and complete when it
   * has its name.
   *
   * Default: none.
   *
   * @example `await sync('./site', '/srv/www', { delete: true, savePlan: 'site.plan' })`
   */
  savePlan?: string | undefined;
  /**
   * Does exactly what the plan in this file says, with the same operands and options. Where either tree has moved since, it refuses
   * (`ERR_SPARSYNC_PLAN_STALE`) before the first write, or, when that happens during the run, at the entry that is concerned.
   *
   * Default: none.
   *
   * @example `await sync('./site', '/srv/www', { delete: true, applyPlan: 'site.plan' })`
   */
  applyPlan?: string | undefined;
  /**
   * Writes what is sent to this file too, a batch, so that it can be sent again to other destinations that are equal to this one's
   * old state. It has the attributes of everything, and the content of the files that were sent. The source is of this machine.
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
   * Sends what this batch has: the source is an empty list then. A pipe, or `/dev/stdin` for standard input, is read to its end first
   * (into an unnamed file in the folder for temporary files). What of the source belongs
   * to the run, and which attributes, the batch says; what is deleted, the options of this call. A file that the destination needs
   * and that was not sent when the batch was written fails.
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

/** Options of `sync`, `plan` and `verify`. */
export interface SyncOptions extends ConnectOptions, TransferOptions {}

/** Options of `plan`: those of `sync` but for what only concerns writing. */
export type PlanOptions = Omit<SyncOptions, (typeof NOT_IN_PLAN)[number]>;

/** Options of `verify`: those of `sync` that say what is compared and how it is reached. */
export type VerifyOptions = Omit<SyncOptions, (typeof NOT_IN_VERIFY)[number]>;
