import { lstat, stat } from 'node:fs';
import type { Stats } from 'node:fs';

import { ConfigError, SparsyncError } from './errors.js';
import type { EntryKind } from './events.js';
import { absolute, baseName, joinBytes, namesContent } from './paths.js';
import type { Sources } from './paths.js';
import { fileList, relativeSource, withTop } from './selection.js';
import type { FileList, Listed } from './selection.js';
import type { BatchUse } from './settings.js';
import { machineOf } from './target.js';
import type { RemoteTarget, Target } from './target.js';
import { ENTRY_KINDS } from './words.js';

/** Sources and destination of a run. */
export interface Ends {
  /** In their order: the first that has a name wins. */
  readonly sources: readonly [Target, ...Target[]];
  readonly destination: Target;
}

/** One of several sources. */
export interface PlacedSource {
  /** The path. On this machine a slash at the end means the content of the directory. */
  readonly path: Uint8Array;
  /** The entry below the path that is the source, and arrives under this whole path; empty for the path itself. */
  readonly below: Uint8Array;
  /** Whether what is in the directory is meant. */
  readonly contents: boolean;
}

/** What decides where sources arrive. */
export interface PlacementSettings {
  readonly into: boolean;
  readonly relative: boolean;
  readonly impliedDirs: boolean;
  readonly filter: readonly unknown[];
  readonly recursive: boolean;
  readonly dirs: boolean;
  readonly existing: boolean;
  readonly ignoreExisting: boolean;
  readonly pruneEmptyDirs: boolean;
  readonly safeLinks: boolean;
  readonly copyLinks: boolean;
  readonly copyDirLinks: boolean;
  readonly copyUnsafeLinks: boolean;
  readonly keepDirLinks: boolean;
  readonly snapshot: { readonly isAsked: boolean };
  readonly backupDir: Uint8Array;
  readonly tempDir: Uint8Array;
  readonly compareDest: readonly Uint8Array[];
  readonly copyDest: readonly Uint8Array[];
  readonly linkDest: readonly Uint8Array[];
  readonly reflinkDest: readonly Uint8Array[];
  readonly filesFrom: readonly Listed[] | undefined;
  readonly batch: BatchUse | undefined;
}

/** Where exactly the engine reads and writes. */
export interface Placement {
  readonly direction: 'push' | 'pull' | 'local';
  /** The end on this machine; for a run on one machine the source. */
  readonly localPath: Uint8Array;
  /** The sources on this machine, when there are several. */
  readonly localSources: readonly PlacedSource[];
  /** The sources on a server, when there are several. */
  readonly remoteSources: readonly PlacedSource[];
  /** The paths below the source that belong to the run. */
  readonly files: FileList | undefined;
  /** The destination of a run on one machine; empty otherwise. */
  readonly localDestination: Uint8Array;
  readonly root: string;
  readonly remotePath: Uint8Array;
  /**
   * Whether the source is an entry with a name of its own that is no directory, or a symlink to one: if the destination
   * is a directory, the engine puts the entry below it.
   */
  readonly into: boolean;
  /** Whether the directory that holds the destination may be made, when that is all that is missing. */
  readonly makeParent: boolean;
}

/** Tells what stands at a path of the other end, a symlink itself: nothing, or something of which this key may know no more. */
export type RemoteProbe = (remote: RemoteTarget) => Promise<EntryKind | 'unknown' | undefined>;

/** Sources of one pull, as the engine bounds them. */
const REMOTE_SOURCES_MAX = 128;

/** The end on a server, if there is one; of several sources on it the first. */
export function remoteEnd({ sources, destination }: Ends): RemoteTarget | undefined {
  return [...sources, destination].find((end) => end.kind === 'remote');
}

/** Rejects ends that no single run can serve. */
export function checkEnds({ sources, destination }: Ends): void {
  const [first] = sources;
  if (first.kind === 'remote' && destination.kind === 'remote') {
    throw new ConfigError('source and destination are both on servers: one of them must be a local path');
  }
  if (sources.some((source) => machineOf(source) !== machineOf(first))) {
    throw new ConfigError('all sources must be on the same machine');
  }
  const rootOf = (source: Target): string => (source.kind === 'remote' ? source.root : '');
  if (sources.some((source) => rootOf(source) !== rootOf(first))) {
    const isOfCommand = first.kind === 'remote' && first.via !== undefined;
    const alike = 'all sources of one run must begin alike there: with "/", with "~/", or with a name';
    throw new ConfigError(isOfCommand ? alike : 'all sources of one run must be below the same root of the server');
  }
  if (first.kind === 'remote') checkCount(sources.length);
  for (const end of [...sources, destination]) {
    if (end.kind === 'remote' && end.root === '') {
      throw new ConfigError('the URL names no root: write sparsync://host/root');
    }
  }
}

/** Rejects more sources on a server than one run takes. */
function checkCount(sources: number): void {
  if (sources <= REMOTE_SOURCES_MAX) return;
  throw new ConfigError(
    `one run takes at most ${REMOTE_SOURCES_MAX} sources on a server, not ${sources}; each entry of a list whose "/./" are in several places is one`,
  );
}

/**
 * Applies rsync's rule where it is asked for: a source whose last component is a name is put below the destination
 * under that name. For a single file the engine decides, because only it sees the destination.
 */
export async function place(ends: Ends, settings: PlacementSettings, probe: RemoteProbe): Promise<Placement> {
  if (settings.batch !== undefined) checkBatch(ends, settings.batch);
  if (settings.filesFrom !== undefined) return placeListed(ends, settings, settings.filesFrom, probe);
  if (settings.relative) return placeWithPaths(ends, settings, probe);
  return ends.sources.length > 1 ? placeSeveral(ends, settings) : placeOne(ends, settings, probe);
}

/** What a list names of one source; without `relative`, or below several places, each of it is a source of its own. */
async function placeListed(
  ends: Ends,
  settings: PlacementSettings,
  listed: readonly Listed[],
  probe: RemoteProbe,
): Promise<Placement> {
  const { sources, destination } = ends;
  if (sources.length > 1) throw new ConfigError('filesFrom takes exactly one source: its paths are relative to that');
  const [source] = sources;
  const [first, ...others] = listed;
  if (first === undefined) return placeOne(ends, settings, probe, fileList(listed));
  if (!settings.relative) {
    const each = ({ path, isContents }: Listed): Target => below(source, path, isContents);
    return placeSeveral({ sources: [each(first), ...others.map(each)], destination }, settings);
  }
  if (others.every(({ anchor }) => Buffer.compare(anchor, first.anchor) === 0)) {
    const place = first.anchor.length === 0 ? source : below(source, first.anchor, true);
    return placeOne({ sources: [place], destination }, settings, probe, filesOf(listed, settings));
  }
  const placed = listed.map(({ anchor, path, isContents }): PlacedSource => {
    const place = joinBytes(source.path, anchor);
    const here = source.kind === 'local' ? absolute(place) : place;
    const isHere = source.kind === 'local' && path.length === 0;
    return { path: isHere ? withSlash(here) : here, below: path, contents: isContents };
  });
  const files = filesOf(listed, settings);
  return placeEach(ends, settings.into, placed, settings.recursive && !hasTop(listed, settings) ? undefined : files);
}

/** Paths that a run takes. */
type Taken = readonly Pick<Listed, 'path' | 'isContents' | 'hasTop'>[];

/** Whether the top is carried as a directory on the way to one of them. */
function hasTop(paths: Taken, { impliedDirs, recursive, dirs, filesFrom }: PlacementSettings): boolean {
  return impliedDirs && (recursive || dirs || filesFrom !== undefined) && paths.some((each) => each.hasTop);
}

/** The paths as what a run takes of one source, or of several that lie over each other. */
function filesOf(paths: Taken, settings: PlacementSettings): FileList {
  const files = fileList(paths);
  return hasTop(paths, settings) ? withTop(files, settings.recursive) : files;
}

/** Sources that keep their paths. */
async function placeWithPaths(ends: Ends, settings: PlacementSettings, probe: RemoteProbe): Promise<Placement> {
  const { sources, destination } = ends;
  const placed = sources.map(placeRelative);
  const taken = placed.map(({ below: path, contents, hasTop }): Taken[number] => {
    return { path, isContents: contents && path.length > 0, hasTop };
  });
  const files = filesOf(taken, settings);
  // Symlinks on the way are followed in what a list names, and in no source of a server's.
  const follows = sources[0].kind === 'remote' && (settings.copyLinks || settings.copyDirLinks);
  const listed = settings.recursive && !follows ? undefined : listOf(sources, placed, follows);
  if (listed !== undefined) return placeOne({ sources: [listed], destination }, settings, probe, files);
  if (hasTop(taken, settings)) return placeEach(ends, settings.into, placed, files);
  const alone = sources.length === 1 ? oneName(sources[0]) : undefined;
  // A single name that is no directory may get another one, as without relative.
  if (alone === undefined || (await isDirectory(alone, probe))) return placeEach(ends, settings.into, placed);
  return placeOne({ sources: [alone], destination }, { ...settings, relative: false }, probe);
}

/**
 * Whether a directory that is put below the destination is an entry of the tree, below its top. Rules see it then, so that they can leave it
 * out, and begin with its name; so does what says that it may not be made or replaced, and a symlink that leads to what is beside
 * it stays in the tree.
 */
function isEntry(settings: PlacementSettings): boolean {
  return (
    settings.filter.length > 0 ||
    settings.pruneEmptyDirs ||
    (settings.dirs && !settings.recursive) ||
    settings.existing ||
    settings.ignoreExisting ||
    settings.safeLinks ||
    settings.copyUnsafeLinks ||
    settings.keepDirLinks ||
    settings.snapshot.isAsked ||
    // At a destination given later, the entry arrives under its name, too.
    settings.batch !== undefined ||
    hasDirectories(settings)
  );
}

/** Whether something else than a directory has that name at the destination, which as an entry is replaced, and never written through. */
async function standsInTheWay(destination: Target, name: Uint8Array, probe: RemoteProbe): Promise<boolean> {
  if (destination.kind === 'remote') {
    // No path of a server leads through a symlink: it refuses.
    if (destination.via === undefined) return false;
    const kind = await probe({ ...destination, path: joinBytes(destination.path, name) });
    return kind !== undefined && kind !== 'unknown' && kind !== 'directory';
  }
  return (await statsOf(joinBytes(destination.path, name), lstat))?.isDirectory() === false;
}

/** One source, a file or a directory, or what a list names below it. */
async function placeOne(
  ends: Ends,
  settings: PlacementSettings,
  probe: RemoteProbe,
  files?: FileList,
): Promise<Placement> {
  const { sources, destination } = ends;
  const [source] = sources;
  // A list says what of the source is meant, and the source is the place where its paths begin.
  const into = settings.into && files === undefined;
  const nested = into && !meansContent(source);
  const directory = nested && (await isDirectory(source, probe));
  const name = baseName(source.path);
  if (directory && (isEntry(settings) || (await standsInTheWay(destination, name, probe))))
    return placeSeveral(ends, settings);
  // A slash after the destination says that it is a directory, also when it is not there yet.
  const isDirectoryNamed = directory || (nested && endsWithSlash(destination));
  const goal = (path: Uint8Array): Uint8Array => (directory ? joinBytes(path, name) : path);

  // A slash at the end means that the source is a directory, or a symlink to one.
  const isContent = into && endsWithSlash(source) && source.path.length > 0;
  const itself = (path: Uint8Array): Uint8Array =>
    into && meansContent(source) ? withSlash(absolute(path)) : absolute(path);

  // `sync SRC NEW` makes NEW and puts SRC below it: the place that the user named is one level above the destination.
  const rest = { into: nested && !directory, makeParent: isDirectoryNamed, files };
  if (source.kind === 'local' && destination.kind === 'local') {
    return {
      direction: 'local',
      localPath: itself(source.path),
      localSources: [],
      remoteSources: [],
      localDestination: goal(absolute(destination.path)),
      root: '',
      remotePath: new Uint8Array(),
      ...rest,
    };
  }
  const remote = source.kind === 'remote' ? source : destination;
  const local = source.kind === 'local' ? source : destination;
  if (remote.kind !== 'remote' || local.kind !== 'local') throw new ConfigError('one end must be a local path');
  const push = local === source;
  return {
    direction: push ? 'push' : 'pull',
    localPath: push ? itself(local.path) : goal(absolute(local.path)),
    localSources: [],
    remoteSources: [],
    localDestination: new Uint8Array(),
    root: remote.root,
    remotePath: push ? goal(remote.path) : isContent ? withSlash(remote.path) : remote.path,
    ...rest,
  };
}

/** The source, which a batch takes the place of. */
export function sourceOf(source: Sources, batch: BatchUse | undefined): Sources {
  if (batch?.use !== 'readBatch') return source;
  if (!Array.isArray(source) || source.length > 0) {
    throw new ConfigError('option readBatch replaces the source: give an empty list of sources');
  }
  return batch.file;
}

/** A batch is of sources of this machine. */
function checkBatch({ sources: [source] }: Ends, { use }: BatchUse): void {
  if (source.kind === 'remote') {
    throw new ConfigError(`option ${use} needs a source on this machine: in a pull only the server sees the source`);
  }
}

/** The sources as one tree, which goes to the destination: the engine tells directories from files. */
function placeSeveral(ends: Ends, { into }: PlacementSettings): Placement {
  const placed = (source: Target): PlacedSource => {
    const contents = into && meansContent(source);
    const path = source.kind === 'remote' ? source.path : absolute(source.path);
    const isHere = source.kind === 'local' && contents;
    return { path: isHere ? withSlash(path) : path, below: new Uint8Array(), contents };
  };
  return placeEach(ends, into, ends.sources.map(placed));
}

/**
 * The same of sources whose places are known; `files` are the paths at which they arrive, where a list has to say it.
 */
function placeEach(
  { sources, destination }: Ends,
  into: boolean,
  placed: readonly PlacedSource[],
  files?: FileList,
): Placement {
  const itself = ({ path }: Target): Uint8Array => absolute(path);
  const isPull = sources[0].kind === 'remote';
  const direction = isPull ? 'pull' : destination.kind === 'remote' ? 'push' : 'local';
  if (isPull) checkCount(placed.length);
  return {
    direction,
    localPath: isPull ? itself(destination) : new Uint8Array(),
    localSources: isPull ? [] : placed,
    remoteSources: isPull ? placed : [],
    localDestination: direction === 'local' ? itself(destination) : new Uint8Array(),
    root: remoteEnd({ sources, destination })?.root ?? '',
    remotePath: direction === 'push' ? destination.path : new Uint8Array(),
    into,
    makeParent: false,
    files,
  };
}

const SLASH = Buffer.from('/');

/** The path with one more slash at its end. */
const withSlash = (path: Uint8Array): Uint8Array => Buffer.concat([path, SLASH]);

/** The source as one that arrives under its name, if it arrives under a path of one name. */
function oneName(source: Target): Target | undefined {
  const { path, below: inner, contents } = placeRelative(source);
  if (contents || inner.includes(0x2f)) return undefined;
  return source.kind === 'remote' ? source : { kind: 'local', path: joinBytes(path, inner) };
}

/**
 * The one place below which all sources arrive under their paths, so that they can be a list of paths there: without
 * `recursive` only a list can express the slash at their end. Gives `undefined` if they are below several places, or
 * none ends with a slash nor, where symlinks are followed, has a way.
 */
function listOf([first]: Ends['sources'], placed: readonly PlacedSource[], follows: boolean): Target | undefined {
  const path = placed[0]?.path ?? first.path;
  const needsList = placed.some(
    (each) => (each.contents && each.below.length > 0) || (follows && each.below.includes(0x2f)),
  );
  if (!needsList || placed.some((each) => Buffer.compare(each.path, path) !== 0)) return undefined;
  return first.kind === 'remote' ? { ...first, path, trailingSlash: true } : { kind: 'local', path };
}

/** A source that arrives under its path, as with `relative`; of one on a server nobody knows whether it began with `./`. */
export function placeRelative(source: Target): PlacedSource & Pick<Listed, 'hasTop'> {
  if (source.kind === 'local') {
    const { path, below: inner, isDirectory: contents, hasTop } = relativeSource(source.path);
    return {
      path: inner.length === 0 ? joinBytes(path, SLASH) : path,
      below: inner,
      contents: contents || inner.length === 0,
      hasTop,
    };
  }
  const start = source.anchor === 0 ? 0 : source.anchor + 1;
  const inner = source.path.subarray(start);
  return {
    path: source.path.subarray(0, source.anchor),
    below: inner,
    contents: source.trailingSlash || inner.length === 0,
    hasTop: false,
  };
}

/** The place of a path below a source, as a source of its own. */
function below(source: Target, path: Uint8Array, trailingSlash: boolean): Target {
  if (source.kind === 'remote') return { ...source, path: joinBytes(source.path, path), trailingSlash };
  const full = joinBytes(source.path, path);
  return { kind: 'local', path: trailingSlash ? joinBytes(full, SLASH) : full };
}

/** Whether the source means the content of a directory: it ends with a slash, or is a root or a dot. */
export function meansContent(source: Target): boolean {
  return source.kind === 'local' ? namesContent(source.path) : source.trailingSlash || source.path.length === 0;
}

/** Whether it was named with a slash at its end. */
export function endsWithSlash(target: Target): boolean {
  return target.kind === 'local' ? target.path.at(-1) === 0x2f : target.trailingSlash;
}

/**
 * Whether options name directories that have the content of the destination, or are relative to it: relative to the
 * path that the user named.
 */
function hasDirectories(settings: PlacementSettings): boolean {
  const { backupDir, tempDir, compareDest, copyDest, linkDest, reflinkDest } = settings;
  return [backupDir, tempDir, compareDest, copyDest, linkDest, reflinkDest].some(({ length }) => length > 0);
}

/** Whether the source is a directory. A missing source is none, and the engine reports it. */
export async function isDirectory(source: Target, probe: RemoteProbe): Promise<boolean> {
  if (source.kind === 'remote') return source.path.length === 0 || (await probe(source)) === 'directory';
  return (await statsOf(source.path, meansContent(source) ? stat : lstat))?.isDirectory() === true;
}

/** The status of a path on this machine; `undefined` if it is missing or cannot be read. */
async function statsOf(path: Uint8Array, look: typeof lstat): Promise<Stats | undefined> {
  return new Promise((resolve) => {
    look(Buffer.from(absolute(path)), (error, stats) => resolve(error === null ? stats : undefined));
  });
}

/** A probe that asks what stands at the path. Of what may not be known the run itself will tell. */
export function kindProbe(stat: (remote: RemoteTarget) => Promise<{ kind: string } | undefined>): RemoteProbe {
  return async (remote) => {
    try {
      const found = await stat(remote);
      return ENTRY_KINDS.find((kind) => kind === found?.kind);
    } catch (error) {
      if (!(error instanceof SparsyncError) || error.retryable) throw error;
      return error.code === 'ERR_SPARSYNC_NOT_FOUND' ? undefined : 'unknown';
    }
  };
}
