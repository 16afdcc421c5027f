// Written by scripts/options.mjs from the table in options/; never edited.
import { flag, integer, oneOf } from './check.js';
import type { Check } from './check.js';
import { LANES_MAX, liftsGuards, wantedLanes, wantsProfile } from './config.js';
import { filterRules, nativeRules } from './filter.js';
import type { FilterRules, NativeRule } from './filter.js';
import { modeChanges } from './modes.js';
import { idMap } from './owners.js';
import { COMPARES, COMPRESSIONS, DURABILITIES } from './words.js';
import type { Compare, Compression, Durability } from './words.js';

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
  readonly modifyWindowNs: Check<number>;
  readonly update: Check<boolean>;
  readonly ignoreExisting: Check<boolean>;
  readonly existing: Check<boolean>;
  readonly maxSize: Check<number>;
  readonly minSize: Check<number>;
  readonly delete: Check<boolean>;
  readonly deleteExcluded: Check<boolean>;
  readonly maxDelete: Check<number>;
  readonly allowMassDelete: Check<boolean>;
  readonly force: Check<boolean>;
  readonly dryRun: Check<boolean>;
  readonly mkpath: Check<boolean>;
  readonly sparse: Check<boolean>;
  readonly partial: Check<boolean>;
  readonly compression: Check<Compression>;
  readonly durability: Check<Durability>;
  readonly timeoutMs: Check<number>;
  readonly lanes: Check<number>;
  readonly lockWaitMs: Check<number>;
  readonly profile: Check<boolean>;
} = {
  recursive: flag,
  dirs: flag,
  links: flag,
  copyLinks: flag,
  copyDirLinks: flag,
  copyUnsafeLinks: flag,
  keepDirLinks: flag,
  safeLinks: flag,
  mungeLinks: flag,
  remoteMungeLinks: flag,
  perms: flag,
  times: flag,
  group: flag,
  owner: flag,
  xattrs: flag,
  hardLinks: flag,
  fakeSuper: flag,
  remoteFakeSuper: flag,
  acls: flag,
  devices: flag,
  specials: flag,
  oneFileSystem: flag,
  omitMountPoints: flag,
  pruneEmptyDirs: flag,
  filter: filterRules,
  gitignore: flag,
  executability: flag,
  chmod: modeChanges,
  omitDirTimes: flag,
  omitLinkTimes: flag,
  atimes: flag,
  openNoatime: flag,
  numericIds: flag,
  usermap: idMap,
  groupmap: idMap,
  superUser: flag,
  strictAttributes: flag,
  compare: oneOf(...COMPARES),
  modifyWindowNs: integer(-1, 86_400_000_000_000, 'nanoseconds'),
  update: flag,
  ignoreExisting: flag,
  existing: flag,
  maxSize: integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
  minSize: integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
  delete: flag,
  deleteExcluded: flag,
  maxDelete: integer(0, Number.MAX_SAFE_INTEGER, 'entries'),
  allowMassDelete: flag,
  force: flag,
  dryRun: flag,
  mkpath: flag,
  sparse: flag,
  partial: flag,
  compression: oneOf(...COMPRESSIONS),
  durability: oneOf(...DURABILITIES),
  timeoutMs: integer(0, 86_400_000, 'milliseconds'),
  lanes: integer(0, LANES_MAX, 'lanes'),
  lockWaitMs: integer(0, 86_400_000, 'milliseconds'),
  profile: flag,
};

/** What only concerns writing, so that `plan` does not take it. */
export const NOT_IN_PLAN = [
  'strictAttributes',
  'dryRun',
  'mkpath',
  'sparse',
  'partial',
  'durability',
  'lockWaitMs',
  'events',
  'profile',
] as const;

/** What `verify` does not take. */
export const NOT_IN_VERIFY = [
  'keepDirLinks',
  'superUser',
  'strictAttributes',
  'compare',
  'update',
  'ignoreExisting',
  'existing',
  'maxSize',
  'minSize',
  'delete',
  'deleteExcluded',
  'maxDelete',
  'allowMassDelete',
  'force',
  'dryRun',
  'mkpath',
  'sparse',
  'partial',
  'durability',
  'lockWaitMs',
  'events',
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
  modifyWindowNs?: number;
  update?: boolean;
  ignoreExisting?: boolean;
  existing?: boolean;
  maxSize?: number;
  minSize?: number;
  delete?: boolean;
  deleteExcluded?: boolean;
  maxDelete?: number;
  allowMassDelete?: boolean;
  force?: boolean;
  dryRun?: boolean;
  mkpath?: boolean;
  sparse?: boolean;
  partial?: boolean;
  compression?: Compression;
  durability?: Durability;
  timeoutMs?: number;
  lanes?: number;
  lockWaitMs?: number;
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
  modifyWindowNs: number;
  update: boolean;
  ignoreExisting: boolean;
  existing: boolean;
  maxSize?: number;
  minSize?: number;
  delete: boolean;
  deleteExcluded: boolean;
  maxDelete?: number;
  allowMassDelete: boolean;
  force: boolean;
  dryRun: boolean;
  mkpath: boolean;
  sparse: boolean;
  partial: boolean;
  compression: Compression;
  durability: Durability;
  timeoutMs: number;
  lanes: number;
  lockWaitMs: number;
  profile: boolean;
}

/** Adds the defaults. */
export function engineOptions(given: Given): EngineOptions {
  return {
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
    specials: given.specials ?? true,
    oneFileSystem: given.oneFileSystem ?? false,
    omitMountPoints: given.omitMountPoints ?? false,
    pruneEmptyDirs: given.pruneEmptyDirs ?? false,
    filter: nativeRules(given.filter ?? []),
    gitignore: given.gitignore ?? false,
    executability: given.executability ?? false,
    ...(given.chmod === undefined ? {} : { chmod: given.chmod }),
    omitDirTimes: given.omitDirTimes ?? false,
    omitLinkTimes: given.omitLinkTimes ?? false,
    atimes: given.atimes ?? false,
    openNoatime: given.openNoatime ?? false,
    numericIds: given.numericIds ?? false,
    ...(given.usermap === undefined ? {} : { usermap: given.usermap }),
    ...(given.groupmap === undefined ? {} : { groupmap: given.groupmap }),
    ...(given.superUser === undefined ? {} : { superUser: given.superUser }),
    strictAttributes: given.strictAttributes ?? false,
    compare: given.compare ?? 'quick',
    modifyWindowNs: given.modifyWindowNs ?? -1,
    update: given.update ?? false,
    ignoreExisting: given.ignoreExisting ?? false,
    existing: given.existing ?? false,
    ...(given.maxSize === undefined ? {} : { maxSize: given.maxSize }),
    ...(given.minSize === undefined ? {} : { minSize: given.minSize }),
    delete: given.delete ?? false,
    deleteExcluded: given.deleteExcluded ?? false,
    ...(given.maxDelete === undefined ? {} : { maxDelete: given.maxDelete }),
    allowMassDelete: given.allowMassDelete ?? liftsGuards(),
    force: given.force ?? false,
    dryRun: given.dryRun ?? false,
    mkpath: given.mkpath ?? false,
    sparse: given.sparse ?? false,
    partial: given.partial ?? true,
    compression: given.compression ?? 'auto',
    durability: given.durability ?? 'run',
    timeoutMs: given.timeoutMs ?? 60_000,
    lanes: given.lanes ?? wantedLanes() ?? 0,
    lockWaitMs: given.lockWaitMs ?? 0,
    profile: given.profile ?? wantsProfile(),
  };
}
