// Written by scripts/options.mjs from the table in options/; never edited.
import { flag, integer, oneOf } from './check.js';
import type { Check } from './check.js';
import { LANES_MAX } from './config.js';
import { SWITCHES } from './engine-options.js';
import { filterRules } from './filter.js';
import type { FilterRules } from './filter.js';
import { modeChanges } from './modes.js';
import type { SnapshotOptions } from './options.js';
import { idMap } from './owners.js';
import { pathOption, pathsOption, suffix, suffixList } from './paths.js';
import type { PathLike } from './paths.js';
import { recordOf } from './record.js';
import { snapshotOption } from './snapshots.js';
import { CHANGINGS, COMPARES, COMPRESSIONS, DURABILITIES, MISSING_SOURCES } from './words.js';
import type { Changing, Compare, Compression, Durability, MissingSources } from './words.js';

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
  recordOf(SWITCHES, () => flag),
  {
    filter: filterRules,
    chmod: modeChanges,
    usermap: idMap,
    groupmap: idMap,
    superUser: flag,
    compare: oneOf(...COMPARES),
    modifyWindowNs: integer(-1, 9_007_199_254_740_991, 'nanoseconds'),
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
