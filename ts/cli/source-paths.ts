import { lstatSync } from 'node:fs';

import type { TransferOptions } from '../options.js';
import { absolute, baseName, bytesOf, joinBytes } from '../paths.js';
import { meansContent } from '../placement.js';
import type { Ends } from '../placement.js';
import { relativeSource } from '../selection.js';
import type { LocalTarget } from '../target.js';
import { safeBytes } from './names.js';

const SLASH = 0x2f;

/** Where the entries of one source come from. */
interface Origin {
  /** The directory that the names of its entries begin in. */
  readonly directory: Uint8Array;
  /** This directory as `%f` shows it: as it was given, without what leads nowhere. */
  readonly shown: string;
  /** The name of all that comes from here, and begins what is in it; empty where there is none. */
  readonly name: Uint8Array;
  /** The slash that rsync shows in front of names which are absolute paths. */
  readonly leading: '' | '/';
}

/** Where on this machine what a run names comes from. */
export class SourcePaths {
  readonly #origins: readonly Origin[];
  readonly #only: Origin | undefined;

  constructor(ends: Ends, transfer: TransferOptions) {
    this.#origins = originsOf(ends, transfer);
    const [first] = this.#origins;
    this.#only = this.#origins.every(({ shown, leading }) => shown === first?.shown && leading === first.leading)
      ? first
      : undefined;
  }

  /** The path of an entry as `%f` shows it. What a server has goes by its own name, as in rsync. */
  shown(path: Uint8Array, name: string): string {
    const parts = [this.#of(path)?.shown ?? '', name === '' ? '.' : name];
    return parts.filter((part) => part !== '').join('/');
  }

  /** What stands in front of the name of an entry that is carried. */
  leadingOf(path: Uint8Array): string {
    return this.#of(path)?.leading ?? '';
  }

  /** Where an entry stands, whose path begins with the name of its source or `below` it; `undefined` if it is of a server. */
  placeOf(path: Uint8Array, { below }: { below: boolean }): Uint8Array | undefined {
    const origin = this.#of(path);
    return origin && joinBytes(origin.directory, below ? joinBytes(origin.name, path) : path);
  }

  /** Where an entry comes from: the first source that has a name decides. */
  #of(path: Uint8Array): Origin | undefined {
    return this.#only ?? this.#origins.find((origin) => has(origin, path)) ?? this.#origins[0];
  }
}

function originsOf({ sources }: Ends, { relative, filesFrom }: TransferOptions): Origin[] {
  const origins: Origin[] = [];
  for (const source of sources) {
    if (source.kind === 'remote') continue;
    const top = absolute(source.path);
    if (filesFrom === undefined) origins.push(originOf(source, relative === true));
    else if (relative !== false) origins.push({ directory: top, shown: '', name: new Uint8Array(), leading: '' });
    else for (const path of filesFrom) origins.push(listedOrigin(top, path));
  }
  return origins;
}

/** What a list names without --relative is a source of its own, below the one of the run. */
function listedOrigin(top: Uint8Array, path: NonNullable<TransferOptions['filesFrom']>[number]): Origin {
  const bytes = path instanceof Uint8Array ? path : bytesOf(String(path));
  const { shown, name } = originOf({ kind: 'local', path: bytes }, false);
  return { directory: joinBytes(top, bytes.subarray(0, bytes.length - name.length)), shown, name, leading: '' };
}

function originOf(source: LocalTarget, relative: boolean): Origin {
  const { path } = source;
  if (relative) {
    const { path: directory, below } = relativeSource(path);
    const before = Buffer.from(path).indexOf('/./');
    const shown = shownDirectory(before > 0 ? path.subarray(0, before) : new Uint8Array());
    return { directory, shown, name: below, leading: before === -1 && path[0] === SLASH ? '/' : '' };
  }
  if (meansContent(source)) {
    return { directory: absolute(path), shown: shownDirectory(path), name: new Uint8Array(), leading: '' };
  }
  const name = baseName(path);
  const above = path.subarray(0, Buffer.from(path).lastIndexOf(name));
  return { directory: absolute(above), shown: shownDirectory(above), name, leading: '' };
}

function shownDirectory(path: Uint8Array): string {
  const names = safeBytes(path).split('/');
  return names.filter((name) => name !== '' && name !== '.').join('/');
}

/** A path between slashes, so that one that another begins with is above it. */
const slashed = (path: Uint8Array): string => (path.length === 0 ? '/' : `/${Buffer.from(path).toString('latin1')}/`);

function has({ directory, name }: Origin, path: Uint8Array): boolean {
  const [given, own] = [slashed(path), slashed(name)];
  if (!given.startsWith(own) && !own.startsWith(given)) return false;
  try {
    return lstatSync(Buffer.from(joinBytes(directory, path)), { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
