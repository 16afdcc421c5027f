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
  STDERR_MODES,
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
import { REPORTERS } from './reporter.js';

export const RELATIVE_FLAG: Flag = { name: 'relative', short: 'R' };
export const IMPLIED_DIRS_FLAG: Flag = { name: 'implied-dirs' };
export const FILES_FROM_FLAG: Flag = { name: 'files-from', value: 'FILE' };
export const FROM0_FLAG: Flag = { name: 'from0', short: '0', placed: true };
export const LINKS_FLAG: Flag = { name: 'links', short: 'l' };
export const COPY_LINKS_FLAG: Flag = { name: 'copy-links', short: 'L' };
export const COPY_DIRLINKS_FLAG: Flag = { name: 'copy-dirlinks', short: 'k' };
export const COPY_UNSAFE_LINKS_FLAG: Flag = { name: 'copy-unsafe-links' };
export const SAFE_LINKS_FLAG: Flag = { name: 'safe-links' };
export const MUNGE_LINKS_FLAG: Flag = { name: 'munge-links' };
export const PERMS_FLAG: Flag = { name: 'perms', short: 'p' };
export const TIMES_FLAG: Flag = { name: 'times', short: 't' };
export const GROUP_FLAG: Flag = { name: 'group', short: 'g' };
export const OWNER_FLAG: Flag = { name: 'owner', short: 'o' };
export const XATTRS_FLAG: Flag = {
  name: 'xattrs',
  short: 'X',
  twice: 'what --fake-super stores is read and written by that flag',
};
export const HARD_LINKS_FLAG: Flag = { name: 'hard-links', short: 'H' };
export const FAKE_SUPER_FLAG: Flag = { name: 'fake-super' };
export const REMOTE_OPTION_FLAG: Flag = {
  name: 'remote-option',
  short: 'M',
  value: 'OPTION',
  many: true,
  choices: REMOTE_OPTIONS,
};
export const ACLS_FLAG: Flag = { name: 'acls', short: 'A', implies: ['perms'] };
export const DEVICES_FLAG: Flag = { name: 'devices' };
export const SPECIALS_FLAG: Flag = { name: 'specials' };
export const ONE_FILE_SYSTEM_FLAG: Flag = { name: 'one-file-system', short: 'x', doubled: 'omit-mount-points' };
export const OMIT_MOUNT_POINTS_FLAG: Flag = { name: 'omit-mount-points', implies: ['one-file-system'] };
export const PRUNE_EMPTY_DIRS_FLAG: Flag = { name: 'prune-empty-dirs', short: 'm' };
export const FILTER_FLAG: Flag = { name: 'filter', short: 'f', value: 'RULE', many: true };
export const EXCLUDE_FLAG: Flag = { name: 'exclude', value: 'PATTERN', many: true, project: true };
export const INCLUDE_FLAG: Flag = { name: 'include', value: 'PATTERN', many: true };
export const EXCLUDE_FROM_FLAG: Flag = { name: 'exclude-from', value: 'FILE', many: true };
export const INCLUDE_FROM_FLAG: Flag = { name: 'include-from', value: 'FILE', many: true };
export const RSYNC_FILTER_FLAG: Flag = {
  name: 'rsync-filter',
  short: 'F',
  value: 'NAME',
  bare: '.rsync-filter',
  many: true,
};
export const GITIGNORE_FLAG: Flag = { name: 'gitignore', project: true };
export const CVS_EXCLUDE_FLAG: Flag = { name: 'cvs-exclude', short: 'C', project: true };
export const EXECUTABILITY_FLAG: Flag = { name: 'executability', short: 'E' };
export const CHMOD_FLAG: Flag = { name: 'chmod', value: 'MODES', many: true };
export const OMIT_DIR_TIMES_FLAG: Flag = { name: 'omit-dir-times', short: 'O', project: true };
export const OMIT_LINK_TIMES_FLAG: Flag = { name: 'omit-link-times', short: 'J', project: true };
export const ATIMES_FLAG: Flag = { name: 'atimes', short: 'U', doubled: 'open-noatime' };
export const OPEN_NOATIME_FLAG: Flag = { name: 'open-noatime' };
export const NUMERIC_IDS_FLAG: Flag = { name: 'numeric-ids' };
export const USERMAP_FLAG: Flag = { name: 'usermap', value: 'MAP', implies: ['owner'] };
export const GROUPMAP_FLAG: Flag = { name: 'groupmap', value: 'MAP', implies: ['group'] };
export const CHOWN_FLAG: Flag = { name: 'chown', value: 'USER:GROUP', partsImply: ['owner', 'group'] };
export const MODIFY_WINDOW_FLAG: Flag = { name: 'modify-window', short: '@', value: 'SECONDS' };
export const RETRY_FLAG: Flag = { name: 'retry', value: 'NUM', project: true };
export const TIMEOUT_FLAG: Flag = { name: 'timeout', value: 'SECONDS', off: '0', project: true };
export const STOP_AT_FLAG: Flag = { name: 'stop-at', value: 'TIME' };
export const STOP_AFTER_FLAG: Flag = { name: 'stop-after', aliases: ['time-limit'], value: 'MINUTES' };
export const BWLIMIT_FLAG: Flag = { name: 'bwlimit', value: 'RATE', project: true };
export const VERBOSE_FLAG: Flag = { name: 'verbose', short: 'v', project: true };
export const QUIET_FLAG: Flag = { name: 'quiet', short: 'q' };
export const JSON_FLAG: Flag = { name: 'json' };
export const REPORTER_FLAG: Flag = { name: 'reporter', value: 'NAME', choices: REPORTERS };
export const CONFIG_FLAG: Flag = { name: 'config', value: 'FILE', off: 'none' };
export const HELP_FLAG: Flag = { name: 'help' };
export const IDENTITY_FLAG: Flag = { name: 'identity', value: 'FILE' };
export const PIN_FLAG: Flag = { name: 'pin', value: 'KEY', many: true };
export const KNOWN_HOSTS_FLAG: Flag = { name: 'known-hosts', value: 'FILE' };
export const CA_FLAG: Flag = { name: 'ca', value: 'FILE' };
export const CONTIMEOUT_FLAG: Flag = { name: 'contimeout', value: 'SECONDS', off: '3600' };
export const IDLE_TIMEOUT_FLAG: Flag = { name: 'idle-timeout', value: 'SECONDS' };
export const IPV4_FLAG: Flag = { name: 'ipv4', short: '4' };
export const IPV6_FLAG: Flag = { name: 'ipv6', short: '6' };
export const ADDRESS_FLAG: Flag = { name: 'address', value: 'ADDRESS' };
export const RSH_FLAG: Flag = { name: 'rsh', short: 'e', value: 'COMMAND' };
export const RSYNC_PATH_FLAG: Flag = { name: 'rsync-path', aliases: ['remote-path'], value: 'PROGRAM' };
export const BOOTSTRAP_FLAG: Flag = { name: 'bootstrap', value: 'HOW', bare: 'keep', off: 'no', choices: BOOTSTRAPS };
export const CONGESTION_FLAG: Flag = { name: 'congestion', value: 'NAME', choices: CONGESTIONS };
export const TRANSPORT_FLAG: Flag = { name: 'transport', value: 'NAME', choices: TRANSPORT_CHOICES };
export const QUIC_PORTS_FLAG: Flag = { name: 'quic-ports', value: 'LOW-HIGH' };

/** Flags of every command that connects. */
export const CONNECTING_FLAGS: readonly Flag[] = [
  IDENTITY_FLAG,
  PIN_FLAG,
  KNOWN_HOSTS_FLAG,
  CA_FLAG,
  CONTIMEOUT_FLAG,
  IDLE_TIMEOUT_FLAG,
  IPV4_FLAG,
  IPV6_FLAG,
  ADDRESS_FLAG,
  RSH_FLAG,
  RSYNC_PATH_FLAG,
  BOOTSTRAP_FLAG,
  CONGESTION_FLAG,
  TRANSPORT_FLAG,
  QUIC_PORTS_FLAG,
];

/** Flags of a sync. */
export const SYNC_FLAGS: readonly Flag[] = [
  {
    name: 'archive',
    short: 'a',
    implies: ['recursive', 'links', 'perms', 'times', 'group', 'owner', 'devices', 'specials'],
  },
  { name: 'recursive', short: 'r' },
  { name: 'dirs', short: 'd' },
  RELATIVE_FLAG,
  IMPLIED_DIRS_FLAG,
  FILES_FROM_FLAG,
  FROM0_FLAG,
  LINKS_FLAG,
  COPY_LINKS_FLAG,
  COPY_DIRLINKS_FLAG,
  COPY_UNSAFE_LINKS_FLAG,
  { name: 'keep-dirlinks', short: 'K' },
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
  { name: 'copy-devices' },
  SPECIALS_FLAG,
  { name: 'devices-specials', short: 'D', implies: ['devices', 'specials'], hidden: true },
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
  { name: 'super' },
  { name: 'strict-attributes' },
  { name: 'checksum', short: 'c', project: true },
  { name: 'size-only' },
  { name: 'ignore-times', short: 'I' },
  { name: 'checksum-cache', project: true },
  MODIFY_WINDOW_FLAG,
  { name: 'update', short: 'u' },
  { name: 'ignore-existing' },
  { name: 'existing' },
  { name: 'ignore-non-existing', implies: ['existing'], hidden: true },
  { name: 'max-size', value: 'SIZE', project: true },
  { name: 'min-size', value: 'SIZE', project: true },
  { name: 'whole-file', short: 'W' },
  { name: 'inplace' },
  { name: 'write-devices', implies: ['inplace'] },
  { name: 'append' },
  { name: 'append-verify', implies: ['append'] },
  { name: 'fuzzy', short: 'y', doubled: 'fuzzy-dest' },
  { name: 'fuzzy-dest', implies: ['fuzzy'], hidden: true },
  { name: 'detect-renames' },
  { name: 'verify-copies' },
  { name: 'remove-source-files' },
  { name: 'delay-updates' },
  { name: 'publish' },
  { name: 'keep-previous', implies: ['publish'] },
  { name: 'snapshot' },
  { name: 'snapshot-reflinks' },
  { name: 'keep-last', value: 'NUM' },
  { name: 'keep-hourly', value: 'NUM' },
  { name: 'keep-daily', value: 'NUM' },
  { name: 'keep-weekly', value: 'NUM' },
  { name: 'keep-monthly', value: 'NUM' },
  { name: 'keep-yearly', value: 'NUM' },
  { name: 'partial-dir', value: 'DIR' },
  { name: 'temp-dir', short: 'T', value: 'DIR' },
  { name: 'backup', short: 'b' },
  { name: 'backup-dir', value: 'DIR' },
  { name: 'suffix', value: 'SUFFIX' },
  { name: 'compare-dest', value: 'DIR', many: true },
  { name: 'copy-dest', value: 'DIR', many: true },
  { name: 'link-dest', value: 'DIR', many: true },
  { name: 'reflink-dest', value: 'DIR', many: true },
  { name: 'delete' },
  { name: 'delete-excluded', implies: ['delete'] },
  { name: 'delete-before', implies: ['delete'] },
  { name: 'delete-during', aliases: ['del'], implies: ['delete'], hidden: true },
  { name: 'delete-delay', implies: ['delete'], hidden: true },
  { name: 'delete-after', implies: ['delete'] },
  { name: 'delete-missing-args' },
  { name: 'ignore-missing-args' },
  { name: 'ignore-errors' },
  { name: 'max-delete', value: 'NUM' },
  { name: 'allow-mass-delete' },
  { name: 'force' },
  { name: 'dry-run', short: 'n' },
  { name: 'mkpath' },
  { name: 'sparse', short: 'S' },
  { name: 'partial' },
  { name: 'preallocate' },
  { name: 'compress', short: 'z', value: 'WHEN', bare: 'always', off: 'never', choices: COMPRESSIONS, project: true },
  { name: 'compress-choice', aliases: ['zc'], value: 'NAME', choices: CODECS },
  { name: 'compress-level', aliases: ['zl'], value: 'NUM' },
  { name: 'skip-compress', value: 'LIST', project: true },
  { name: 'changing', value: 'HOW', choices: CHANGINGS },
  { name: 'snapshot-read' },
  { name: 'durability', value: 'LEVEL', choices: DURABILITIES },
  { name: 'fsync' },
  RETRY_FLAG,
  TIMEOUT_FLAG,
  STOP_AT_FLAG,
  STOP_AFTER_FLAG,
  BWLIMIT_FLAG,
  { name: 'port', value: 'PORT' },
  { name: 'lanes', value: 'NUM', project: true },
  { name: 'lock-wait', value: 'SECONDS' },
  VERBOSE_FLAG,
  QUIET_FLAG,
  { name: 'itemize-changes', short: 'i', project: true },
  { name: 'plan', value: 'FILE', implies: ['dry-run'] },
  { name: 'apply', value: 'FILE' },
  { name: 'write-batch', value: 'FILE' },
  { name: 'only-write-batch', value: 'FILE' },
  { name: 'read-batch', value: 'FILE' },
  { name: 'explain', value: 'PATH', many: true },
  { name: 'out-format', aliases: ['log-format'], value: 'FORMAT' },
  { name: 'log-file', value: 'FILE' },
  { name: 'textfile', value: 'FILE' },
  { name: 'log-file-format', value: 'FORMAT' },
  { name: 'info', value: 'FLAGS', many: true },
  { name: 'stderr', value: 'MODE', choices: STDERR_MODES },
  { name: 'msgs2stderr', hidden: true },
  { name: 'list-only' },
  { name: 'progress', project: true },
  { name: 'partial-progress', short: 'P', implies: ['partial', 'progress'], hidden: true },
  { name: 'stats', project: true },
  { name: 'profile', value: 'FILE' },
  { name: 'human-readable', short: 'h', project: true },
  { name: '8-bit-output', short: '8', project: true },
  JSON_FLAG,
  REPORTER_FLAG,
  CONFIG_FLAG,
  HELP_FLAG,
  { name: 'version', short: 'V' },
  { name: 'debug', value: 'FLAGS', many: true, hidden: true },
  { name: 'inc-recursive', aliases: ['i-r'], hidden: true },
  { name: 'block-size', short: 'B', value: 'SIZE', hidden: true },
  { name: 'max-alloc', value: 'SIZE', hidden: true },
  { name: 'outbuf', value: 'MODE', hidden: true },
  { name: 'checksum-choice', aliases: ['cc'], value: 'NAME', hidden: true },
  { name: 'checksum-seed', value: 'NUM', hidden: true },
  { name: 'compress-threads', aliases: ['zt'], value: 'NUM', hidden: true },
  { name: 'iconv', value: 'CONVERT', off: '-', hidden: true },
  { name: 'motd', hidden: true },
  { name: 'blocking-io', hidden: true },
  { name: 'old-args', hidden: true },
  { name: 'secluded-args', short: 's', aliases: ['protect-args'], hidden: true },
  { name: 'trust-sender', hidden: true },
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
  copyDevices: 'copy-devices',
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
  checksumCache: 'checksum-cache',
  update: 'update',
  ignoreExisting: 'ignore-existing',
  existing: 'existing',
  inplace: 'inplace',
  writeDevices: 'write-devices',
  append: 'append',
  fuzzy: 'fuzzy',
  fuzzyDest: 'fuzzy-dest',
  detectRenames: 'detect-renames',
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
  snapshotRead: 'snapshot-read',
} as const;

/** What the flags of a sync say, with the defaults of the command, which are rsync's. */
export async function flaggedOptions(flags: ParsedFlags) {
  // An object's keys are known to be no more than what was written there.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const names = Object.keys(SWITCHES) as (keyof typeof SWITCHES)[];
  return Object.assign(
    recordOf(names, (name) => flags.on(SWITCHES[name])),
    {
      relative: flags.given('relative'),
      impliedDirs: flags.given('implied-dirs'),
      filesFrom: await filesFromOf(flags),
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
      reflinkDest: flags.words('reflink-dest'),
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
      savePlan: flags.text('plan'),
      applyPlan: flags.text('apply'),
      writeBatch: flags.words('write-batch').at(-1),
      onlyWriteBatch: flags.words('only-write-batch').at(-1),
      readBatch: flags.words('read-batch').at(-1),
      profile: flags.text('profile') === undefined ? undefined : true,
    } satisfies TransferOptions,
  );
}
