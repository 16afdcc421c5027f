import { ConfigError } from './errors.js';
import { joinBytes, joinNames, namesOf, pathBytes, textOf, workingDirectory } from './paths.js';
import type { PathLike } from './paths.js';

/** The paths below a source that belong to a run. */
export interface FileList {
  /** The entries; the empty path is the source itself. */
  readonly selected: readonly Uint8Array[];
  /** Those paths that end with a slash or a dot: without `recursive` their direct entries belong to the run, too. */
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
}

const SLASH = 0x2f;

/** Reads the paths of a list. All are relative to the source, even with a slash in front. */
export function fileList(paths: readonly PathLike[]): FileList {
  const selected: Uint8Array[] = [];
  const listed: Uint8Array[] = [];
  for (const [index, each] of paths.entries()) {
    const path = pathBytes(each, `filesFrom[${index}]`);
    const names: Uint8Array[] = [];
    const given = namesOf(path);
    for (const name of given) {
      const text = textOf(name);
      // rsync as well goes no higher than the source.
      if (text === '..') names.pop();
      else if (text !== '.') names.push(name);
    }
    const plain = joinNames(names);
    selected.push(plain);
    const last = given.at(-1);
    const isContents = path.at(-1) === SLASH || last === undefined || ['.', '..'].includes(textOf(last));
    if (isContents) listed.push(plain);
  }
  return { selected, listed };
}

/** Takes a source on this machine apart. */
export function relativeSource(path: Uint8Array): RelativeSource {
  const anchor = anchorOf(path);
  const start = path[0] === SLASH ? Buffer.from('/') : workingDirectory();
  const before = anchor === undefined ? undefined : path.subarray(0, anchor.before);
  const base = before ?? start;
  const rest = anchor === undefined ? path : path.subarray(anchor.after);
  const given = namesOf(rest);
  const names = given.filter((name) => textOf(name) !== '.');
  if (names.some((name) => textOf(name) === '..')) {
    throw new ConfigError(`with relative, a source cannot contain "..": ${textOf(path)}`);
  }
  const last = given.at(-1);
  return {
    anchor: before,
    path: base[0] === SLASH ? base : joinBytes(workingDirectory(), base),
    below: joinNames(names),
    isDirectory: rest.at(-1) === SLASH || (last !== undefined && textOf(last) === '.'),
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
