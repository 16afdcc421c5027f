import { ConfigError } from './errors.js';
import {
  isDot,
  isDotDot,
  isDots,
  joinBytes,
  joinNames,
  namesOf,
  pathBytes,
  textOf,
  workingDirectory,
} from './paths.js';
import type { PathLike } from './paths.js';

/** What an entry of a list names. */
export interface Listed {
  /** The part in front of `/./`, below the source; empty for the source itself. */
  readonly anchor: Uint8Array;
  /** The path under which it arrives; empty for the anchor itself. */
  readonly path: Uint8Array;
  /** Whether it ends with a slash or a dot: without `recursive` its direct entries belong to the run, too. */
  readonly isContents: boolean;
  /** Whether it begins with `./`, which makes the top one of the directories on the way. */
  readonly hasTop: boolean;
}

/** The paths below one source that belong to a run. */
export interface FileList {
  /** The entries; the empty path is the source itself. */
  readonly selected: readonly Uint8Array[];
  /** Those of which, without `recursive`, the direct entries belong to the run, too. */
  readonly listed: readonly Uint8Array[];
}

/** A source of which the part behind `/./`, or all of it, is the path under which it arrives. */
export interface RelativeSource {
  /** The part in front of `/./` as it was given, if it has one. */
  readonly anchor: Uint8Array | undefined;
  readonly path: Uint8Array;
  readonly below: Uint8Array;
  /** Whether it ends with a slash or a dot: it is a directory, or leads to one. */
  readonly isDirectory: boolean;
  /** Whether it begins with `./`, which makes the top one of the directories on the way. */
  readonly hasTop: boolean;
}

const SLASH = 0x2f;

/**
 * Reads the paths of a list. All are relative to the source, even with a slash in front; with `relative` `/./` has its
 * meaning.
 */
export function listedPaths(paths: readonly PathLike[], relative: boolean): Listed[] {
  // Unlike `map`, this does not pass over the holes of an array.
  return Array.from(paths, (each, index) => {
    const given = pathBytes(each, `filesFrom[${index}]`);
    // Of nothing but slashes the last one is left.
    const path = given.subarray(given.findIndex((byte) => byte !== SLASH));
    const anchor = relative ? anchorOf(path) : undefined;
    const rest = anchor === undefined ? path : path.subarray(anchor.after);
    const last = namesOf(rest).at(-1);
    return {
      anchor: anchor === undefined ? new Uint8Array() : withoutDots(path.subarray(0, anchor.before)),
      path: withoutDots(rest),
      isContents: path.at(-1) === SLASH || last === undefined || isDots(last),
      hasTop: beginsWithTop(rest),
    };
  });
}

/** The same paths as what a run takes of one source. */
export function fileList(paths: readonly Pick<Listed, 'path' | 'isContents'>[]): FileList {
  return {
    selected: paths.map(({ path }) => path),
    listed: paths.filter(({ isContents }) => isContents).map(({ path }) => path),
  };
}

/** The same list with the top as a directory on the way: one that is selected, or in a recursive run listed. */
export function withTop({ selected, listed }: FileList, recursive: boolean): FileList {
  const top = new Uint8Array();
  return recursive ? { selected, listed: [...listed, top] } : { selected: [...selected, top], listed };
}

/** Whether a path begins with `./`, and does not lead back from there. */
function beginsWithTop(path: Uint8Array): boolean {
  const [first, second] = namesOf(path);
  return path[0] !== SLASH && first !== undefined && isDot(first) && second !== undefined && !isDotDot(second);
}

/** The path without names that lead nowhere or back. As in rsync, none leads higher than where it begins. */
function withoutDots(path: Uint8Array): Uint8Array {
  const names: Uint8Array[] = [];
  for (const name of namesOf(path)) {
    if (isDotDot(name)) names.pop();
    else if (!isDot(name)) names.push(name);
  }
  return joinNames(names);
}

/** Takes a source on this machine apart. */
export function relativeSource(path: Uint8Array): RelativeSource {
  const anchor = anchorOf(path);
  const start = path[0] === SLASH ? Buffer.from('/') : workingDirectory();
  const before = anchor === undefined ? undefined : path.subarray(0, anchor.before);
  const base = before ?? start;
  const rest = anchor === undefined ? path : path.subarray(anchor.after);
  const given = namesOf(rest);
  const names = given.filter((name) => !isDot(name));
  if (names.some(isDotDot)) {
    throw new ConfigError(`with relative, a source cannot contain "..": ${textOf(path)}`);
  }
  const last = given.at(-1);
  return {
    anchor: before,
    path: base[0] === SLASH ? base : joinBytes(workingDirectory(), base),
    below: joinNames(names),
    isDirectory: rest.at(-1) === SLASH || (last !== undefined && isDot(last)),
    hasTop: beginsWithTop(rest),
  };
}

/**
 * The place of the first `/./` in a path. The part before it does not belong to the path under which the source
 * arrives.
 */
function anchorOf(path: Uint8Array): { readonly before: number; readonly after: number } | undefined {
  const at = Buffer.from(path.buffer, path.byteOffset, path.byteLength).indexOf('/./');
  return at === -1 ? undefined : { before: Math.max(at, 1), after: at + 3 };
}
