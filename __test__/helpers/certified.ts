import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { Random } from './random.js';
import { at, names, walk } from './walk.js';

/**
 * Files that certify themselves: the head names path and version and carries a hash of the rest, so that a file read
 * at any moment is known to be one whole version or else torn, mixed or misplaced, whoever wrote it.
 */
const headSize = 256;

function head(path: string, version: number, body: Buffer): Buffer {
  const hash = createHash('sha256').update(body).digest('hex');
  return Buffer.from(JSON.stringify({ path, version, size: body.length, hash }).padEnd(headSize - 1) + '\n');
}

/** A whole version of a file. */
export function certify(path: string, version: number, size: number): Buffer {
  const body = new Random(`${path}\0${version}`, 'certified').bytes(Math.max(0, size - headSize));
  return Buffer.concat([head(path, version, body), body]);
}

/** Which version a content is; undefined when it is no whole version of that path. */
export function versionOf(path: string, content: Buffer): number | undefined {
  try {
    const said: unknown = JSON.parse(content.subarray(0, headSize).toString());
    if (typeof said !== 'object' || said === null || !('version' in said) || typeof said.version !== 'number') {
      return undefined;
    }
    const body = content.subarray(headSize);
    return head(path, said.version, body).equals(content.subarray(0, headSize)) ? said.version : undefined;
  } catch {
    return undefined;
  }
}

/** A tree whose files are remade, all of them, as version after version. */
export class CertifiedTree {
  readonly #sizes: ReadonlyMap<string, number>;

  /** Sizes by path; a version differs in size from the last by up to a page, so no half is as long as the whole. */
  constructor(sizes: ReadonlyMap<string, number>) {
    this.#sizes = sizes;
  }

  get paths(): Iterable<string> {
    return this.#sizes.keys();
  }

  write(root: string, version: number): void {
    for (const [path, size] of this.#sizes) {
      mkdirSync(dirname(`${root}/${path}`), { recursive: true });
      writeFileSync(`${root}/${path}`, certify(path, version, size + ((version * 257) % 4096)));
    }
  }

  /** What is not as it has to be at any moment: each path absent (if that is permitted) or one whole allowed version. */
  torn(root: string, versions: readonly number[], options: { readonly mayBeAbsent: boolean }): string[] {
    const out: string[] = [];
    for (const path of this.#sizes.keys()) {
      if (!existsSync(`${root}/${path}`)) {
        if (!options.mayBeAbsent) out.push(`${path}: absent`);
        continue;
      }
      const found = versionOf(path, readFileSync(`${root}/${path}`));
      if (found === undefined) out.push(`${path}: torn`);
      else if (!versions.includes(found)) out.push(`${path}: version ${found}`);
    }
    return out;
  }

  /** Names that are no part of the tree: temp files, and whatever else a writer put there. */
  strangers(root: string): string[] {
    const known = new Set<string>();
    for (const path of this.#sizes.keys()) {
      known.add(path);
      for (let up = dirname(path); up !== '.'; up = dirname(up)) known.add(up);
    }
    return existsSync(root) ? names(root).filter((path) => !known.has(path)) : [];
  }
}

/** Files outside a tree that nobody may touch: says what was touched since it was made. */
export class Bystander {
  readonly #path: string;
  readonly #before;

  constructor(path: string) {
    this.#path = path;
    mkdirSync(`${path}/inner`, { recursive: true });
    for (const name of ['secret', 'file00000', 'file00001', 'inner/secret']) {
      writeFileSync(`${path}/${name}`, `outside: ${name}\n`);
    }
    this.#before = this.#state();
  }

  #state(): string[] {
    return [...walk(this.#path, { content: true })].map(
      ([path, e]) => `${path} ${e.kind} ${e.mode} ${e.uid} ${e.gid} ${e.ino} ${e.ctimeNs} ${e.mtimeNs} ${e.hash ?? ''}`,
    );
  }

  /** What changed: any write, new name, removal, mode, owner or time shows, for the change time cannot be set back. */
  touched(): string[] {
    const now = this.#state();
    return [
      ...now.filter((line) => !this.#before.includes(line)),
      ...this.#before.filter((line) => !now.includes(line)).map((line) => `was: ${line}`),
    ].slice(0, 10);
  }

  bytes(): Buffer {
    return readFileSync(at(this.#path, 'secret'));
  }
}
