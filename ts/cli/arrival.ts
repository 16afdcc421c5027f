import { lstatSync, readlinkSync, statSync } from 'node:fs';

import { absolute, baseName } from '../paths.js';
import { endsWithSlash, isDirectory, meansContent, place, placeRelative } from '../placement.js';
import type { Ends, RemoteProbe } from '../placement.js';
import { transferSettings } from '../settings.js';
import type { TransferOptions } from '../options.js';
import { isWhole } from '../shell.js';
import type { Target } from '../target.js';
import { safeBytes } from './names.js';

/** The names under which a run's paths arrive, and the directories that had to be made for them. */
export interface Arrival {
  /** The text in front of each path: the name under which a directory arrives. */
  readonly prefix: string;
  /** The name of the source, if it is a single entry that is no directory, or a symlink. */
  readonly single: string | undefined;
  /** Whether the top of the tree is an entry of the source. */
  readonly hasTop: boolean;
}

/** Finds how the paths of a run are named, as rsync names them. */
export async function arrivalOf(ends: Ends, transfer: TransferOptions, probe: RemoteProbe): Promise<Arrival> {
  const [source] = ends.sources;
  const placed = await place(ends, transferSettings(transfer), probe);
  const several = [...placed.localSources, ...placed.remoteSources];
  if (several.length > 0 || placed.files !== undefined) {
    const hasTop = several.some(({ contents }) => contents);
    return { prefix: '', single: undefined, hasTop };
  }
  if (meansContent(source)) return { prefix: '', single: undefined, hasTop: true };
  // What a followed symlink leads to arrives with its name in each path.
  if (!(await isDirectory(source, probe))) return { prefix: '', single: displayName(source), hasTop: false };
  return { prefix: `${displayName(source)}/`, single: undefined, hasTop: true };
}

/** A target that leads out of a tree at whose top its symlink is, for `copyUnsafeLinks`. */
const LEADS_OUT = /^$|^\/|(?:^|\/)\.\.(?:\/|$)/;

/** Which symlinks a run follows. */
export type Follows = Pick<TransferOptions, 'copyLinks' | 'copyDirLinks' | 'copyUnsafeLinks'>;

/**
 * Whether the source arrives as a directory: it is one, or a symlink to one that is followed. At a server a slash says
 * so, and where other symlinks lead is not known.
 */
export async function arrivesAsDirectory(source: Target, follows: Follows, probe: RemoteProbe): Promise<boolean> {
  if (await isDirectory(source, probe)) return true;
  if (source.kind === 'remote') return source.trailingSlash && (await probe(source)) === 'symlink';
  try {
    const path = Buffer.from(absolute(source.path));
    const isFollowed =
      follows.copyLinks === true ||
      follows.copyDirLinks === true ||
      (follows.copyUnsafeLinks === true && LEADS_OUT.test(readlinkSync(path, 'latin1')));
    return isFollowed && statSync(path).isDirectory();
  } catch {
    // The engine reports what is missing, or cannot be looked at.
    return false;
  }
}

/**
 * The directories of the destination that are looked through for what is to be deleted, as rsync names them: those that arrive by their
 * own names, and `.` for what arrives with others.
 */
export async function deletionPlaces(ends: Ends, transfer: TransferOptions, probe: RemoteProbe): Promise<string[]> {
  if (transfer.filesFrom !== undefined) return [];
  const places = new Set<string>();
  for (const source of ends.sources) {
    if (!(await arrivesAsDirectory(source, transfer, probe))) continue;
    const name =
      transfer.relative === true
        ? safeBytes(placeRelative(source).below)
        : meansContent(source)
          ? ''
          : displayName(source);
    places.add(name === '' ? '.' : name);
  }
  return [...places].toSorted();
}

/** The last name of a target, for people. */
export function displayName(source: Target): string {
  const name = baseName(source.path);
  return name.length === 0 ? '.' : safeBytes(name);
}

/**
 * The line that says which directories have to be made for a destination; nothing if none has, or if that may not be
 * known. The server is asked only if the item of the top does not tell, or is one of several, with --mkpath.
 */
export async function madeLine(
  { sources, destination }: Ends,
  follows: Follows,
  { mkpath, topTells }: { readonly mkpath: boolean; readonly topTells: boolean },
  probe: RemoteProbe,
): Promise<string | undefined> {
  const [source, ...others] = sources;
  if (destination.kind === 'remote' && !mkpath && topTells) return undefined;
  const path = Buffer.from(destination.path).toString('latin1');
  const isDirectoryNamed =
    others.length > 0 || endsWithSlash(destination) || (await arrivesAsDirectory(source, follows, probe));
  if (!isDirectoryNamed && !mkpath) return undefined;
  let isKnown = true;
  const isThere = async (at: string): Promise<boolean> => {
    if (destination.kind === 'local') return standsHere(at);
    const kind = at === '' ? 'directory' : await probe({ ...destination, path: Buffer.from(at, 'latin1') });
    isKnown &&= kind !== 'unknown';
    return kind === 'directory' || kind === 'unknown';
  };
  const named = path.replace(/(?<=.)\/+$/, '');
  let missing = 0;
  // If a file is named, only the directory that holds it has to exist.
  let at = isDirectoryNamed || (await isThere(named)) ? named : named.slice(0, named.lastIndexOf('/'));
  const goal = at;
  for (; at !== '' && !(await isThere(at)); at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) missing += 1;
  if (missing === 0 || !isKnown) return undefined;
  const shown = `${slashOf(destination)}${safeBytes(Buffer.from(goal, 'latin1'))}`;
  return mkpath
    ? `created ${missing} ${missing === 1 ? 'directory' : 'directories'} for ${shown}`
    : `created directory ${shown}`;
}

/** The line that says that the directory of a destination was made. */
export function madeTopLine({ destination }: Ends): string {
  return `created directory ${slashOf(destination)}${safeBytes(destination.path).replace(/(?<=.)\/+$/, '')}`;
}

/** The slash of an absolute path at another machine, which its path below the root has lost. */
function slashOf(destination: Target): string {
  return destination.kind === 'remote' && isWhole(destination) ? '/' : '';
}

function standsHere(path: string): boolean {
  try {
    return lstatSync(Buffer.from(path, 'latin1'), { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
