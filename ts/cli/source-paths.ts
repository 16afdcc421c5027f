import { lstatSync } from 'node:fs';

import type { TransferOptions } from '../options.js';
import { absolute, baseName, bytesOf, joinBytes } from '../paths.js';
import { meansContent } from '../placement.js';
import type { Ends } from '../placement.js';
import { listedPaths, relativeSource } from '../selection.js';
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

/** What one entry comes from. */
export interface EntrySource {
  /** Its path as `%f` shows it, from its name. What a server has goes by its own name, as in rsync. */
  readonly shown: (name: string) => string;
  /** What stands in front of its name, if it is carried. */
  readonly leading: () => string;
  /** Where it stands, if its path begins with the name of its source or is `below` that; `undefined` if it is of a server. */
  readonly place: (path: { readonly below: boolean }) => Uint8Array | undefined;
}

/** Where on this machine what a run names comes from. */
export class SourcePaths {
  readonly #ends: Ends;
  readonly #transfer: TransferOptions;
  /** Made when the first entry is looked for: most runs show nothing for which it is needed, and a list may be long. */
  #made: Origins | undefined;

  constructor(ends: Ends, transfer: TransferOptions) {
    this.#ends = ends;
    this.#transfer = transfer;
  }

  get #origins(): Origins {
    return (this.#made ??= new Origins(originsOf(this.#ends, this.#transfer)));
  }

  /** What an entry comes from. It is looked for when that is asked, and once. */
  of(path: Uint8Array): EntrySource {
    let found: { readonly origin: Origin | undefined } | undefined;
    const origin = (): Origin | undefined => (found ??= { origin: this.#origins.of(path) }).origin;
    return {
      shown: (name) => [origin()?.shown ?? '', name === '' ? '.' : name].filter((part) => part !== '').join('/'),
      leading: () => (this.#origins.leads ? (origin()?.leading ?? '') : ''),
      place: ({ below }) => {
        const from = origin();
        return from && joinBytes(from.directory, below ? joinBytes(from.name, path) : path);
      },
    };
  }
}

/** The sources of a run, and what they have in common. */
class Origins {
  readonly leads: boolean;
  readonly #all: readonly Origin[];
  readonly #only: Origin | undefined;
  #index: OriginIndex | undefined;

  constructor(all: readonly Origin[]) {
    const [first] = all;
    this.#all = all;
    this.#only = all.every((origin) => first !== undefined && isAlike(origin, first)) ? first : undefined;
    this.leads = all.some(({ leading }) => leading !== '');
  }

  /** What an entry comes from: the first source that has its name decides. */
  of(path: Uint8Array): Origin | undefined {
    if (this.#only !== undefined) return this.#only;
    this.#index ??= new OriginIndex(this.#all);
    return this.#index.first(path, (origin) => isIn(origin.directory, path)) ?? this.#all[0];
  }
}

/** The sources of a run by the names of what comes from them, since a list may make a source of each of its lines. */
class OriginIndex {
  readonly #origins: readonly Origin[];
  /** The positions of the sources that have a name. */
  readonly #named = new Map<string, number[]>();
  /** The positions of the sources whose names are below a directory. */
  readonly #below = new Map<string, number[]>();

  constructor(origins: readonly Origin[]) {
    this.#origins = origins;
    for (const [at, { name }] of origins.entries()) {
      const own = slashed(name);
      for (const path of upTo(own)) add(path === own ? this.#named : this.#below, path, at);
    }
  }

  /** The first source that may have a path, and does. */
  first(path: Uint8Array, has: (origin: Origin) => boolean): Origin | undefined {
    const asked = slashed(path);
    const above = upTo(asked).flatMap((each) => this.#named.get(each) ?? []);
    const may = [...above, ...(this.#below.get(asked) ?? [])].toSorted((one, other) => one - other);
    for (const at of may) {
      const origin = this.#origins[at];
      if (origin !== undefined && has(origin)) return origin;
    }
    return undefined;
  }
}

function add(to: Map<string, number[]>, path: string, at: number): void {
  const known = to.get(path);
  if (known === undefined) to.set(path, [at]);
  else known.push(at);
}

/** A path between slashes, after all that are above it. */
function upTo(path: string): string[] {
  const paths: string[] = [];
  for (let slash = 0; slash !== -1; slash = path.indexOf('/', slash + 1)) paths.push(path.slice(0, slash + 1));
  return paths;
}

/** Whether entries are shown alike and stand in the same directory, whichever of two sources they are of. */
const isAlike = (one: Origin, other: Origin): boolean =>
  one.shown === other.shown && one.leading === other.leading && Buffer.compare(one.directory, other.directory) === 0;

function originsOf({ sources }: Ends, { relative, filesFrom }: TransferOptions): Origin[] {
  const origins: Origin[] = [];
  for (const source of sources) {
    if (source.kind === 'remote') continue;
    const top = absolute(source.path);
    if (filesFrom === undefined) origins.push(originOf(source, relative === true));
    else if (relative !== false) origins.push(...listedOrigins(top, filesFrom));
    else for (const path of filesFrom) origins.push(listedOrigin(top, path));
  }
  return origins;
}

/** What a list names begins in the source, or in the part in front of `/./` below it. */
function listedOrigins(top: Uint8Array, filesFrom: NonNullable<TransferOptions['filesFrom']>): Origin[] {
  const listed = listedPaths(filesFrom, true);
  if (listed.every(({ anchor }) => anchor.length === 0)) {
    return [{ directory: top, shown: '', name: new Uint8Array(), leading: '' }];
  }
  return listed.map(({ anchor, path }) => {
    return { directory: joinBytes(top, anchor), shown: shownDirectory(anchor), name: path, leading: '' };
  });
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
    const { anchor, path: directory, below } = relativeSource(path);
    const leading = anchor === undefined && path[0] === SLASH ? '/' : '';
    return { directory, shown: shownDirectory(anchor ?? new Uint8Array()), name: below, leading };
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

/** A path between slashes, so that one with which another begins is above it. */
const slashed = (path: Uint8Array): string => (path.length === 0 ? '/' : `/${Buffer.from(path).toString('latin1')}/`);

function isIn(directory: Uint8Array, path: Uint8Array): boolean {
  try {
    return lstatSync(Buffer.from(joinBytes(directory, path)), { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
