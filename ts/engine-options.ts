// Written by scripts/options.mjs from the table in options/; never edited.
import { liftsGuards, wantedLanes, wantsProfile } from './config.js';
import { nativeRules } from './filter.js';
import type { FilterRules, NativeRule } from './filter.js';
import type { SnapshotOptions } from './options.js';
import { pathOf, pathsOf } from './paths.js';
import type { PathLike } from './paths.js';
import { nativeSnapshot } from './snapshots.js';
import type { NativeSnapshot } from './snapshots.js';
import type { Changing, Compare, Compression, Durability, MissingSources } from './words.js';

/** What is on or off. */
export const SWITCHES = [
  'recursive',
  'dirs',
  'links',
  'copyLinks',
  'copyDirLinks',
  'copyUnsafeLinks',
  'keepDirLinks',
  'safeLinks',
  'mungeLinks',
  'remoteMungeLinks',
  'perms',
  'times',
  'group',
  'owner',
  'xattrs',
  'hardLinks',
  'fakeSuper',
  'remoteFakeSuper',
  'acls',
  'devices',
  'copyDevices',
  'specials',
  'oneFileSystem',
  'omitMountPoints',
  'pruneEmptyDirs',
  'gitignore',
  'executability',
  'omitDirTimes',
  'omitLinkTimes',
  'atimes',
  'openNoatime',
  'numericIds',
  'strictAttributes',
  'checksumCache',
  'update',
  'ignoreExisting',
  'existing',
  'inplace',
  'writeDevices',
  'append',
  'fuzzy',
  'fuzzyDest',
  'detectRenames',
  'verifyCopies',
  'removeSourceFiles',
  'delayUpdates',
  'publish',
  'keepPrevious',
  'backup',
  'delete',
  'deleteExcluded',
  'deleteAfter',
  'ignoreErrors',
  'force',
  'dryRun',
  'mkpath',
  'sparse',
  'partial',
  'preallocate',
  'snapshotRead',
  'itemDetails',
  'itemUnchanged',
  'itemBackups',
  'itemRemovals',
  'itemDeletionsFirst',
] as const;

/** How long the other end may say nothing, in milliseconds, unless it is given: questions outside of runs share it. */
export const TIMEOUT_MS = 60_000;

/** The options that the engine takes, as they were given. */
interface Given {
  recursive?: boolean;
  dirs?: boolean;
  links?: boolean;
  copyLinks?: boolean;
  copyDirLinks?: boolean;
  copyUnsafeLinks?: boolean;
  keepDirLinks?: boolean;
  safeLinks?: boolean;
  mungeLinks?: boolean;
  remoteMungeLinks?: boolean;
  perms?: boolean;
  times?: boolean;
  group?: boolean;
  owner?: boolean;
  xattrs?: boolean;
  hardLinks?: boolean;
  fakeSuper?: boolean;
  remoteFakeSuper?: boolean;
  acls?: boolean;
  devices?: boolean;
  copyDevices?: boolean;
  specials?: boolean;
  oneFileSystem?: boolean;
  omitMountPoints?: boolean;
  pruneEmptyDirs?: boolean;
  filter?: FilterRules;
  gitignore?: boolean;
  executability?: boolean;
  chmod?: string;
  omitDirTimes?: boolean;
  omitLinkTimes?: boolean;
  atimes?: boolean;
  openNoatime?: boolean;
  numericIds?: boolean;
  usermap?: string;
  groupmap?: string;
  superUser?: boolean;
  strictAttributes?: boolean;
  compare?: Compare;
  checksumCache?: boolean;
  modifyWindowNs?: number;
  update?: boolean;
  ignoreExisting?: boolean;
  existing?: boolean;
  maxSize?: number;
  minSize?: number;
  wholeFile?: boolean;
  inplace?: boolean;
  writeDevices?: boolean;
  append?: boolean;
  fuzzy?: boolean;
  fuzzyDest?: boolean;
  detectRenames?: boolean;
  verifyCopies?: boolean;
  removeSourceFiles?: boolean;
  delayUpdates?: boolean;
  publish?: boolean;
  keepPrevious?: boolean;
  snapshot?: SnapshotOptions;
  partialDir?: PathLike;
  tempDir?: PathLike;
  backup?: boolean;
  backupDir?: PathLike;
  suffix?: string;
  compareDest?: PathLike | readonly PathLike[];
  copyDest?: PathLike | readonly PathLike[];
  linkDest?: PathLike | readonly PathLike[];
  reflinkDest?: PathLike | readonly PathLike[];
  delete?: boolean;
  deleteExcluded?: boolean;
  deleteAfter?: boolean;
  missingSources?: MissingSources;
  ignoreErrors?: boolean;
  maxDelete?: number;
  allowMassDelete?: boolean;
  force?: boolean;
  dryRun?: boolean;
  mkpath?: boolean;
  sparse?: boolean;
  partial?: boolean;
  preallocate?: boolean;
  compression?: Compression;
  skipCompress?: string;
  changing?: Changing;
  snapshotRead?: boolean;
  durability?: Durability;
  timeoutMs?: number;
  bwlimit?: number;
  lanes?: number;
  lockWaitMs?: number;
  itemDetails?: boolean;
  itemUnchanged?: boolean;
  itemBackups?: boolean;
  itemRemovals?: boolean;
  itemDeletionsFirst?: boolean;
  profile?: boolean;
}

/** The options that the engine takes, complete. */
export interface EngineOptions {
  recursive: boolean;
  dirs: boolean;
  links: boolean;
  copyLinks: boolean;
  copyDirLinks: boolean;
  copyUnsafeLinks: boolean;
  keepDirLinks: boolean;
  safeLinks: boolean;
  mungeLinks: boolean;
  remoteMungeLinks: boolean;
  perms: boolean;
  times: boolean;
  group: boolean;
  owner: boolean;
  xattrs: boolean;
  hardLinks: boolean;
  fakeSuper: boolean;
  remoteFakeSuper: boolean;
  acls: boolean;
  devices: boolean;
  copyDevices: boolean;
  specials: boolean;
  oneFileSystem: boolean;
  omitMountPoints: boolean;
  pruneEmptyDirs: boolean;
  filter: NativeRule[];
  gitignore: boolean;
  executability: boolean;
  chmod?: string;
  omitDirTimes: boolean;
  omitLinkTimes: boolean;
  atimes: boolean;
  openNoatime: boolean;
  numericIds: boolean;
  usermap?: string;
  groupmap?: string;
  superUser?: boolean;
  strictAttributes: boolean;
  compare: Compare;
  checksumCache: boolean;
  modifyWindowNs: number;
  update: boolean;
  ignoreExisting: boolean;
  existing: boolean;
  maxSize?: number;
  minSize?: number;
  wholeFile?: boolean;
  inplace: boolean;
  writeDevices: boolean;
  append: boolean;
  fuzzy: boolean;
  fuzzyDest: boolean;
  detectRenames: boolean;
  verifyCopies: boolean;
  removeSourceFiles: boolean;
  delayUpdates: boolean;
  publish: boolean;
  keepPrevious: boolean;
  snapshot: NativeSnapshot;
  partialDir: Uint8Array;
  tempDir: Uint8Array;
  backup: boolean;
  backupDir: Uint8Array;
  suffix?: string;
  compareDest: Uint8Array[];
  copyDest: Uint8Array[];
  linkDest: Uint8Array[];
  reflinkDest: Uint8Array[];
  delete: boolean;
  deleteExcluded: boolean;
  deleteAfter: boolean;
  missingSources: MissingSources;
  ignoreErrors: boolean;
  maxDelete?: number;
  allowMassDelete: boolean;
  force: boolean;
  dryRun: boolean;
  mkpath: boolean;
  sparse: boolean;
  partial: boolean;
  preallocate: boolean;
  compression: Compression;
  skipCompress?: string;
  changing: Changing;
  snapshotRead: boolean;
  durability: Durability;
  timeoutMs: number;
  bwlimit: number;
  lanes: number;
  lockWaitMs: number;
  itemDetails: boolean;
  itemUnchanged: boolean;
  itemBackups: boolean;
  itemRemovals: boolean;
  itemDeletionsFirst: boolean;
  profile: boolean;
}

/**
 * Adds the defaults. One literal makes an object that is built and read fast; one that a loop over the names fills takes
 * three times as long in a process that syncs now and then.
 */
// oxlint-disable-next-line max-lines-per-function -- it is the list of all options
export function engineOptions(given: Given): EngineOptions {
  const options: EngineOptions = {
    recursive: given.recursive ?? true,
    dirs: given.dirs ?? false,
    links: given.links ?? true,
    copyLinks: given.copyLinks ?? false,
    copyDirLinks: given.copyDirLinks ?? false,
    copyUnsafeLinks: given.copyUnsafeLinks ?? false,
    keepDirLinks: given.keepDirLinks ?? false,
    safeLinks: given.safeLinks ?? false,
    mungeLinks: given.mungeLinks ?? false,
    remoteMungeLinks: given.remoteMungeLinks ?? false,
    perms: given.perms ?? true,
    times: given.times ?? true,
    group: given.group ?? false,
    owner: given.owner ?? false,
    xattrs: given.xattrs ?? false,
    hardLinks: given.hardLinks ?? false,
    fakeSuper: given.fakeSuper ?? false,
    remoteFakeSuper: given.remoteFakeSuper ?? false,
    acls: given.acls ?? false,
    devices: given.devices ?? true,
    copyDevices: given.copyDevices ?? false,
    specials: given.specials ?? true,
    oneFileSystem: given.oneFileSystem ?? false,
    omitMountPoints: given.omitMountPoints ?? false,
    pruneEmptyDirs: given.pruneEmptyDirs ?? false,
    filter: nativeRules(given.filter ?? []),
    gitignore: given.gitignore ?? false,
    executability: given.executability ?? false,
    omitDirTimes: given.omitDirTimes ?? false,
    omitLinkTimes: given.omitLinkTimes ?? false,
    atimes: given.atimes ?? false,
    openNoatime: given.openNoatime ?? false,
    numericIds: given.numericIds ?? false,
    strictAttributes: given.strictAttributes ?? false,
    compare: given.compare ?? 'quick',
    checksumCache: given.checksumCache ?? false,
    modifyWindowNs: given.modifyWindowNs ?? -1,
    update: given.update ?? false,
    ignoreExisting: given.ignoreExisting ?? false,
    existing: given.existing ?? false,
    inplace: given.inplace ?? false,
    writeDevices: given.writeDevices ?? false,
    append: given.append ?? false,
    fuzzy: given.fuzzy ?? false,
    fuzzyDest: given.fuzzyDest ?? false,
    detectRenames: given.detectRenames ?? false,
    verifyCopies: given.verifyCopies ?? false,
    removeSourceFiles: given.removeSourceFiles ?? false,
    delayUpdates: given.delayUpdates ?? false,
    publish: given.publish ?? false,
    keepPrevious: given.keepPrevious ?? false,
    snapshot: nativeSnapshot(given.snapshot),
    partialDir: pathOf(given.partialDir),
    tempDir: pathOf(given.tempDir),
    backup: given.backup ?? false,
    backupDir: pathOf(given.backupDir),
    compareDest: pathsOf(given.compareDest),
    copyDest: pathsOf(given.copyDest),
    linkDest: pathsOf(given.linkDest),
    reflinkDest: pathsOf(given.reflinkDest),
    delete: given.delete ?? false,
    deleteExcluded: given.deleteExcluded ?? false,
    deleteAfter: given.deleteAfter ?? false,
    missingSources: given.missingSources ?? 'fail',
    ignoreErrors: given.ignoreErrors ?? false,
    allowMassDelete: given.allowMassDelete ?? liftsGuards(),
    force: given.force ?? false,
    dryRun: given.dryRun ?? false,
    mkpath: given.mkpath ?? false,
    sparse: given.sparse ?? false,
    partial: given.partial ?? true,
    preallocate: given.preallocate ?? false,
    compression: given.compression ?? 'auto',
    changing: given.changing ?? 'fail',
    snapshotRead: given.snapshotRead ?? false,
    durability: given.durability ?? 'run',
    timeoutMs: given.timeoutMs ?? 60_000,
    bwlimit: given.bwlimit ?? 0,
    lanes: given.lanes ?? wantedLanes() ?? 0,
    lockWaitMs: given.lockWaitMs ?? 0,
    itemDetails: given.itemDetails ?? false,
    itemUnchanged: given.itemUnchanged ?? false,
    itemBackups: given.itemBackups ?? false,
    itemRemovals: given.itemRemovals ?? false,
    itemDeletionsFirst: given.itemDeletionsFirst ?? false,
    profile: given.profile ?? wantsProfile(),
  };
  if (given.chmod !== undefined) options.chmod = given.chmod;
  if (given.usermap !== undefined) options.usermap = given.usermap;
  if (given.groupmap !== undefined) options.groupmap = given.groupmap;
  if (given.superUser !== undefined) options.superUser = given.superUser;
  if (given.maxSize !== undefined) options.maxSize = given.maxSize;
  if (given.minSize !== undefined) options.minSize = given.minSize;
  if (given.wholeFile !== undefined) options.wholeFile = given.wholeFile;
  if (given.suffix !== undefined) options.suffix = given.suffix;
  if (given.maxDelete !== undefined) options.maxDelete = given.maxDelete;
  if (given.skipCompress !== undefined) options.skipCompress = given.skipCompress;
  return options;
}

/** The names of the switches that are on. */
export function switchedOn(options: EngineOptions): string[] {
  return SWITCHES.filter((name) => options[name]);
}
