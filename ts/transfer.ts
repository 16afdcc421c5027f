// Written by scripts/options.mjs from the table in options/; never edited.
import { flag, integer, oneOf } from './check.js';
import type { Check } from './check.js';
import { LANES_MAX, liftsGuards, wantedLanes, wantsProfile } from './config.js';
import { filterRules, nativeRules } from './filter.js';
import type { FilterRules, NativeRule } from './filter.js';
import { modeChanges } from './modes.js';
import type { SnapshotOptions } from './options.js';
import { idMap } from './owners.js';
import { pathOf, pathOption, pathsOf, pathsOption, suffix, suffixList } from './paths.js';
import type { PathLike } from './paths.js';
import { recordOf } from './record.js';
import { nativeSnapshot, snapshotOption } from './snapshots.js';
import type { NativeSnapshot } from './snapshots.js';
import { CHANGINGS, COMPARES, COMPRESSIONS, DURABILITIES, MISSING_SOURCES } from './words.js';
import type { Changing, Compare, Compression, Durability, MissingSources } from './words.js';

/** What is off unless it is given. */
const OFF = [
  'dirs',
  'copyLinks',
  'copyDirLinks',
  'copyUnsafeLinks',
  'keepDirLinks',
  'safeLinks',
  'mungeLinks',
  'remoteMungeLinks',
  'group',
  'owner',
  'xattrs',
  'hardLinks',
  'fakeSuper',
  'remoteFakeSuper',
  'acls',
  'copyDevices',
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
  'preallocate',
  'snapshotRead',
  'itemDetails',
  'itemUnchanged',
  'itemBackups',
  'itemRemovals',
  'itemDeletionsFirst',
] as const;

/** What is on unless it is given. */
const ON = ['recursive', 'links', 'perms', 'times', 'devices', 'specials', 'partial'] as const;

/** How long the other end may say nothing, in milliseconds, unless it is given. */
export const TIMEOUT_MS = 60_000;

/** The checks. */
export const TRANSFER_CHECKS: {
  readonly recursive: Check<boolean>;
  readonly dirs: Check<boolean>;
  readonly links: Check<boolean>;
  readonly copyLinks: Check<boolean>;
  readonly copyDirLinks: Check<boolean>;
  readonly copyUnsafeLinks: Check<boolean>;
  readonly keepDirLinks: Check<boolean>;
  readonly safeLinks: Check<boolean>;
  readonly mungeLinks: Check<boolean>;
  readonly remoteMungeLinks: Check<boolean>;
  readonly perms: Check<boolean>;
  readonly times: Check<boolean>;
  readonly group: Check<boolean>;
  readonly owner: Check<boolean>;
  readonly xattrs: Check<boolean>;
  readonly hardLinks: Check<boolean>;
  readonly fakeSuper: Check<boolean>;
  readonly remoteFakeSuper: Check<boolean>;
  readonly acls: Check<boolean>;
  readonly devices: Check<boolean>;
  readonly copyDevices: Check<boolean>;
  readonly specials: Check<boolean>;
  readonly oneFileSystem: Check<boolean>;
  readonly omitMountPoints: Check<boolean>;
  readonly pruneEmptyDirs: Check<boolean>;
  readonly filter: Check<FilterRules>;
  readonly gitignore: Check<boolean>;
  readonly executability: Check<boolean>;
  readonly chmod: Check<string>;
  readonly omitDirTimes: Check<boolean>;
  readonly omitLinkTimes: Check<boolean>;
  readonly atimes: Check<boolean>;
  readonly openNoatime: Check<boolean>;
  readonly numericIds: Check<boolean>;
  readonly usermap: Check<string>;
  readonly groupmap: Check<string>;
  readonly superUser: Check<boolean>;
  readonly strictAttributes: Check<boolean>;
  readonly compare: Check<Compare>;
  readonly checksumCache: Check<boolean>;
  readonly modifyWindowNs: Check<number>;
  readonly update: Check<boolean>;
  readonly ignoreExisting: Check<boolean>;
  readonly existing: Check<boolean>;
  readonly maxSize: Check<number>;
  readonly minSize: Check<number>;
  readonly wholeFile: Check<boolean>;
  readonly inplace: Check<boolean>;
  readonly writeDevices: Check<boolean>;
  readonly append: Check<boolean>;
  readonly fuzzy: Check<boolean>;
  readonly fuzzyDest: Check<boolean>;
  readonly detectRenames: Check<boolean>;
  readonly verifyCopies: Check<boolean>;
  readonly removeSourceFiles: Check<boolean>;
  readonly delayUpdates: Check<boolean>;
  readonly publish: Check<boolean>;
  readonly keepPrevious: Check<boolean>;
  readonly snapshot: Check<SnapshotOptions>;
  readonly partialDir: Check<PathLike>;
  readonly tempDir: Check<PathLike>;
  readonly backup: Check<boolean>;
  readonly backupDir: Check<PathLike>;
  readonly suffix: Check<string>;
  readonly compareDest: Check<PathLike | readonly PathLike[]>;
  readonly copyDest: Check<PathLike | readonly PathLike[]>;
  readonly linkDest: Check<PathLike | readonly PathLike[]>;
  readonly reflinkDest: Check<PathLike | readonly PathLike[]>;
  readonly delete: Check<boolean>;
  readonly deleteExcluded: Check<boolean>;
  readonly deleteAfter: Check<boolean>;
  readonly missingSources: Check<MissingSources>;
  readonly ignoreErrors: Check<boolean>;
  readonly maxDelete: Check<number>;
  readonly allowMassDelete: Check<boolean>;
  readonly force: Check<boolean>;
  readonly dryRun: Check<boolean>;
  readonly mkpath: Check<boolean>;
  readonly sparse: Check<boolean>;
  readonly partial: Check<boolean>;
  readonly preallocate: Check<boolean>;
  readonly compression: Check<Compression>;
  readonly skipCompress: Check<string>;
  readonly changing: Check<Changing>;
  readonly snapshotRead: Check<boolean>;
  readonly durability: Check<Durability>;
  readonly timeoutMs: Check<number>;
  readonly bwlimit: Check<number>;
  readonly lanes: Check<number>;
  readonly lockWaitMs: Check<number>;
  readonly itemDetails: Check<boolean>;
  readonly itemUnchanged: Check<boolean>;
  readonly itemBackups: Check<boolean>;
  readonly itemRemovals: Check<boolean>;
  readonly itemDeletionsFirst: Check<boolean>;
  readonly profile: Check<boolean>;
} = Object.assign(
  recordOf([...OFF, ...ON], () => flag),
  {
    filter: filterRules,
    chmod: modeChanges,
    usermap: idMap,
    groupmap: idMap,
    superUser: flag,
    compare: oneOf(...COMPARES),
    modifyWindowNs: integer(-1, 86_400_000_000_000, 'nanoseconds'),
    maxSize: integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
    minSize: integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
    wholeFile: flag,
    snapshot: snapshotOption,
    partialDir: pathOption,
    tempDir: pathOption,
    backupDir: pathOption,
    suffix: suffix,
    compareDest: pathsOption,
    copyDest: pathsOption,
    linkDest: pathsOption,
    reflinkDest: pathsOption,
    missingSources: oneOf(...MISSING_SOURCES),
    maxDelete: integer(0, Number.MAX_SAFE_INTEGER, 'entries'),
    allowMassDelete: flag,
    compression: oneOf(...COMPRESSIONS),
    skipCompress: suffixList,
    changing: oneOf(...CHANGINGS),
    durability: oneOf(...DURABILITIES),
    timeoutMs: integer(0, 86_400_000, 'milliseconds'),
    bwlimit: integer(0, Number.MAX_SAFE_INTEGER, 'bytes per second'),
    lanes: integer(0, LANES_MAX, 'lanes'),
    lockWaitMs: integer(0, 86_400_000, 'milliseconds'),
    profile: flag,
  },
);

/** What only concerns writing, so that `plan` does not take it. */
export const NOT_IN_PLAN = [
  'copyDevices',
  'strictAttributes',
  'writeDevices',
  'fuzzy',
  'fuzzyDest',
  'detectRenames',
  'verifyCopies',
  'publish',
  'keepPrevious',
  'reflinkDest',
  'dryRun',
  'mkpath',
  'sparse',
  'partial',
  'preallocate',
  'snapshotRead',
  'durability',
  'lockWaitMs',
  'events',
  'itemDetails',
  'itemUnchanged',
  'itemBackups',
  'itemRemovals',
  'itemDeletionsFirst',
  'applyPlan',
  'writeBatch',
  'onlyWriteBatch',
  'readBatch',
  'profile',
] as const;

/** What `verify` does not take. */
export const NOT_IN_VERIFY = [
  'keepDirLinks',
  'copyDevices',
  'superUser',
  'strictAttributes',
  'compare',
  'checksumCache',
  'update',
  'ignoreExisting',
  'existing',
  'maxSize',
  'minSize',
  'wholeFile',
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
  'snapshot',
  'partialDir',
  'tempDir',
  'backup',
  'backupDir',
  'suffix',
  'compareDest',
  'copyDest',
  'linkDest',
  'reflinkDest',
  'delete',
  'deleteExcluded',
  'deleteAfter',
  'missingSources',
  'ignoreErrors',
  'maxDelete',
  'allowMassDelete',
  'force',
  'dryRun',
  'mkpath',
  'sparse',
  'partial',
  'preallocate',
  'skipCompress',
  'changing',
  'snapshotRead',
  'durability',
  'lockWaitMs',
  'events',
  'itemDetails',
  'itemUnchanged',
  'itemBackups',
  'itemRemovals',
  'itemDeletionsFirst',
  'savePlan',
  'applyPlan',
  'writeBatch',
  'onlyWriteBatch',
  'readBatch',
  'profile',
] as const;

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

/** Adds the defaults. */
export function engineOptions(given: Given): EngineOptions {
  const options: EngineOptions = Object.assign(
    recordOf(OFF, (name) => given[name] ?? false),
    recordOf(ON, (name) => given[name] ?? true),
    {
      filter: nativeRules(given.filter ?? []),
      compare: given.compare ?? 'quick',
      modifyWindowNs: given.modifyWindowNs ?? -1,
      snapshot: nativeSnapshot(given.snapshot),
      partialDir: pathOf(given.partialDir),
      tempDir: pathOf(given.tempDir),
      backupDir: pathOf(given.backupDir),
      compareDest: pathsOf(given.compareDest),
      copyDest: pathsOf(given.copyDest),
      linkDest: pathsOf(given.linkDest),
      reflinkDest: pathsOf(given.reflinkDest),
      missingSources: given.missingSources ?? 'fail',
      allowMassDelete: given.allowMassDelete ?? liftsGuards(),
      compression: given.compression ?? 'auto',
      changing: given.changing ?? 'fail',
      durability: given.durability ?? 'run',
      timeoutMs: given.timeoutMs ?? 60_000,
      bwlimit: given.bwlimit ?? 0,
      lanes: given.lanes ?? wantedLanes() ?? 0,
      lockWaitMs: given.lockWaitMs ?? 0,
      profile: given.profile ?? wantsProfile(),
    },
  );
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

/** What is on or off. */
const SWITCHES = [...OFF, ...ON];

/** The names of the switches that are on. */
export function switchedOn(options: EngineOptions): string[] {
  return SWITCHES.filter((name) => options[name]);
}
