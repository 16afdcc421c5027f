// Written by scripts/options.mjs from the table in options/; never edited.
import { liftsGuards, wantedLanes, wantsProfile } from './config.js';
import { nativeRules } from './filter.js';
import type { FilterRules, NativeRule } from './filter.js';
import type { NativeRequest } from './native.js';
import type { SnapshotOptions } from './options.js';
import { NO_PATH, pathOf, pathsOf } from './paths.js';
import type { PathLike } from './paths.js';
import { NO_SNAPSHOT, nativeSnapshot } from './snapshots.js';
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
  chmod: string | undefined;
  omitDirTimes: boolean;
  omitLinkTimes: boolean;
  atimes: boolean;
  openNoatime: boolean;
  numericIds: boolean;
  usermap: string | undefined;
  groupmap: string | undefined;
  superUser: boolean | undefined;
  strictAttributes: boolean;
  compare: Compare;
  checksumCache: boolean;
  modifyWindowNs: number;
  update: boolean;
  ignoreExisting: boolean;
  existing: boolean;
  maxSize: number | undefined;
  minSize: number | undefined;
  wholeFile: boolean | undefined;
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
  suffix: string | undefined;
  compareDest: Uint8Array[];
  copyDest: Uint8Array[];
  linkDest: Uint8Array[];
  reflinkDest: Uint8Array[];
  delete: boolean;
  deleteExcluded: boolean;
  deleteAfter: boolean;
  missingSources: MissingSources;
  ignoreErrors: boolean;
  maxDelete: number | undefined;
  allowMassDelete: boolean;
  force: boolean;
  dryRun: boolean;
  mkpath: boolean;
  sparse: boolean;
  partial: boolean;
  preallocate: boolean;
  compression: Compression;
  skipCompress: string | undefined;
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

/** The options of a call to which none is given. Those that each call asks the environment for have a value that is replaced. */
export const STANDARD: Readonly<EngineOptions> = {
  recursive: true,
  dirs: false,
  links: true,
  copyLinks: false,
  copyDirLinks: false,
  copyUnsafeLinks: false,
  keepDirLinks: false,
  safeLinks: false,
  mungeLinks: false,
  remoteMungeLinks: false,
  perms: true,
  times: true,
  group: false,
  owner: false,
  xattrs: false,
  hardLinks: false,
  fakeSuper: false,
  remoteFakeSuper: false,
  acls: false,
  devices: true,
  copyDevices: false,
  specials: true,
  oneFileSystem: false,
  omitMountPoints: false,
  pruneEmptyDirs: false,
  filter: [],
  gitignore: false,
  executability: false,
  chmod: undefined,
  omitDirTimes: false,
  omitLinkTimes: false,
  atimes: false,
  openNoatime: false,
  numericIds: false,
  usermap: undefined,
  groupmap: undefined,
  superUser: undefined,
  strictAttributes: false,
  compare: 'quick',
  checksumCache: false,
  modifyWindowNs: -1,
  update: false,
  ignoreExisting: false,
  existing: false,
  maxSize: undefined,
  minSize: undefined,
  wholeFile: undefined,
  inplace: false,
  writeDevices: false,
  append: false,
  fuzzy: false,
  fuzzyDest: false,
  detectRenames: false,
  verifyCopies: false,
  removeSourceFiles: false,
  delayUpdates: false,
  publish: false,
  keepPrevious: false,
  snapshot: NO_SNAPSHOT,
  partialDir: NO_PATH,
  tempDir: NO_PATH,
  backup: false,
  backupDir: NO_PATH,
  suffix: undefined,
  compareDest: [],
  copyDest: [],
  linkDest: [],
  reflinkDest: [],
  delete: false,
  deleteExcluded: false,
  deleteAfter: false,
  missingSources: 'fail',
  ignoreErrors: false,
  maxDelete: undefined,
  allowMassDelete: false,
  force: false,
  dryRun: false,
  mkpath: false,
  sparse: false,
  partial: true,
  preallocate: false,
  compression: 'auto',
  skipCompress: undefined,
  changing: 'fail',
  snapshotRead: false,
  durability: 'run',
  timeoutMs: 60_000,
  bwlimit: 0,
  lanes: 0,
  lockWaitMs: 0,
  itemDetails: false,
  itemUnchanged: false,
  itemBackups: false,
  itemRemovals: false,
  itemDeletionsFirst: false,
  profile: false,
};

/**
 * Adds the defaults. They are copied alone, and what was given is put on the copy: a literal with a copy and more in it takes four
 * times as long in a process that syncs now and then, and one that looks for each option twice.
 */
export function engineOptions<Options extends EngineOptions>(standard: Readonly<Options>, given: Given): Options {
  const options: Options = { ...standard };
  for (const [name, value] of Object.entries(given)) if (name in standard) Reflect.set(options, name, value);
  options.allowMassDelete = given.allowMassDelete ?? liftsGuards();
  options.lanes = given.lanes ?? wantedLanes() ?? 0;
  options.profile = given.profile ?? wantsProfile();
  if (given.filter !== undefined) options.filter = nativeRules(given.filter);
  if (given.snapshot !== undefined) options.snapshot = nativeSnapshot(given.snapshot);
  if (given.partialDir !== undefined) options.partialDir = pathOf(given.partialDir);
  if (given.tempDir !== undefined) options.tempDir = pathOf(given.tempDir);
  if (given.backupDir !== undefined) options.backupDir = pathOf(given.backupDir);
  if (given.compareDest !== undefined) options.compareDest = pathsOf(given.compareDest);
  if (given.copyDest !== undefined) options.copyDest = pathsOf(given.copyDest);
  if (given.linkDest !== undefined) options.linkDest = pathsOf(given.linkDest);
  if (given.reflinkDest !== undefined) options.reflinkDest = pathsOf(given.reflinkDest);
  return options;
}

/** What is not merely on or off, in the order of the binding. */
export function nativeOptions(options: EngineOptions): NativeRequest['options'] {
  return [
    options.filter,
    options.chmod ?? null,
    options.usermap ?? null,
    options.groupmap ?? null,
    options.superUser ?? null,
    options.compare,
    options.modifyWindowNs,
    options.maxSize ?? null,
    options.minSize ?? null,
    options.wholeFile ?? null,
    options.snapshot.isAsked ? options.snapshot : null,
    options.partialDir.length > 0 ? options.partialDir : null,
    options.tempDir.length > 0 ? options.tempDir : null,
    options.backupDir.length > 0 ? options.backupDir : null,
    options.suffix ?? null,
    options.compareDest.length > 0 ? options.compareDest : null,
    options.copyDest.length > 0 ? options.copyDest : null,
    options.linkDest.length > 0 ? options.linkDest : null,
    options.reflinkDest.length > 0 ? options.reflinkDest : null,
    options.missingSources,
    options.maxDelete ?? null,
    options.allowMassDelete,
    options.compression,
    options.skipCompress ?? null,
    options.changing,
    options.durability,
    options.timeoutMs,
    options.bwlimit,
    options.lanes,
    options.lockWaitMs,
    options.profile,
  ];
}

/** The names of the switches that are on. */
export function switchedOn(options: EngineOptions): string[] {
  return SWITCHES.filter((name) => options[name]);
}
