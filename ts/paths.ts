import { readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { ConfigError } from './errors.js';
import type { PlatformURL } from './platform.js';
import type { Location } from './target.js';

/**
 * A path: text, the exact bytes (for names that are not UTF-8), or a `file:` URL. A relative path starts
 * from the working directory at the time of the call.
 */
export type PathLike = string | Uint8Array | PlatformURL;

/**
 * A source, or several that are seen as one tree. A name is what the first source that has it says, except that a directory
 * comes before everything else; directories of the same path are one. A source that is a directory stands for what is in it,
 * or with `into` for itself unless it ends with a slash; a file is an entry of the tree by its own name.
 */
export type Sources = Location | readonly Location[];

const SLASH = 0x2f;
const DOT = 0x2e;

/** The bytes of a text in UTF-8. */
export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
}

/** The text of a path for people; what is not UTF-8 appears as U+FFFD. */
export function textOf(bytes: string | Uint8Array): string {
  if (typeof bytes === 'string') return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** The bytes of a text in which `%` and two digits stand for one; `refuse` is told what stands behind a `%` instead. */
export function percentDecoded(text: string, refuse: (digits: string) => never): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < text.length;) {
    const percent = text.indexOf('%', at);
    const end = percent === -1 ? text.length : percent;
    if (end > at) parts.push(bytesOf(text.slice(at, end)));
    if (percent === -1) break;
    const hex = text.slice(percent + 1, percent + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(hex)) refuse(hex);
    parts.push(Buffer.from([Number.parseInt(hex, 16)]));
    at = percent + 3;
  }
  return Buffer.concat(parts);
}

/** Parses each source. An error names the source that it is about. */
export function eachSource<Given, T>(
  source: Given | readonly Given[],
  what: string,
  parse: (source: Given, what: string) => T,
): [T, ...T[]] {
  if (!Array.isArray(source)) return [parse(source as Given, what)];
  const [first, ...others] = Array.from(source as readonly Given[], (each, index) => parse(each, `${what}[${index}]`));
  if (first === undefined) throw new ConfigError(`${what} is an empty list`);
  return [first, ...others];
}

/** The bytes of a path as the caller wrote it, a `file:` URL converted, nothing else changed. */
export function pathBytes(path: PathLike, what: string): Uint8Array {
  let bytes: Uint8Array;
  if (typeof path === 'string') bytes = bytesOf(path);
  else if (path instanceof Uint8Array) bytes = path;
  else if (path instanceof URL) bytes = bytesOf(fromFileUrl(path, what));
  else throw new ConfigError(`${what} must be a string, a Uint8Array or a URL, not ${describe(path)}`);
  if (bytes.length === 0) throw new ConfigError(`${what} is empty`);
  if (hasNul(path, bytes)) throw new ConfigError(`${what} contains a NUL byte`, { path: textOf(bytes) });
  return bytes;
}

/** Whether a path has a NUL byte. A text is searched itself: the search in bytes takes longer than all else here. */
export function hasNul(path: PathLike, bytes: Uint8Array): boolean {
  return typeof path === 'string' ? path.includes('\0') : bytes.includes(0);
}

/** Checks an option that is a path. */
export function pathOption(value: unknown, name: string): PathLike {
  // `pathBytes` refuses a value that is no path.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const path = value as PathLike;
  pathBytes(path, `option ${name}`);
  return path;
}

/** Checks an option that is a path or a list of paths. */
export function pathsOption(value: unknown, name: string): PathLike | readonly PathLike[] {
  if (!Array.isArray(value)) return pathOption(value, name);
  // Unlike `map`, this does not skip the holes of an array.
  return Array.from(value, (each: unknown, index) => pathOption(each, `${name}[${index}]`));
}

/** The bytes of paths that were checked. */
export function pathsOf(given: PathLike | readonly PathLike[]): Uint8Array[] {
  const paths: readonly PathLike[] = Array.isArray(given) ? given : [given as PathLike];
  return paths.map(pathOf);
}

/** An absent path. */
export const NO_PATH: Uint8Array = new Uint8Array();

/** The bytes of a checked path. */
export function pathOf(given: PathLike): Uint8Array {
  return pathBytes(given, 'a path');
}

/** Checks what names end with. */
export function suffix(value: unknown, name: string): string {
  if (typeof value === 'string' && !/[/\0]/.test(value) && Buffer.byteLength(value) <= 255) return value;
  throw new ConfigError(`option ${name} must be at most 255 bytes without a slash`, { details: { option: name } });
}

/** Checks a list of what names may end in. */
export function suffixList(value: unknown, name: string): string {
  if (typeof value === 'string' && Buffer.byteLength(value) <= 4096) return value;
  throw new ConfigError(`option ${name} must be at most 4096 bytes, as in 'gz/jp[e]g'`, { details: { option: name } });
}

function fromFileUrl(url: URL, what: string): string {
  if (url.protocol !== 'file:') {
    throw new ConfigError(`${what} is a ${url.protocol} URL; a folder is given as a path or a file: URL`);
  }
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new ConfigError(`${what} is not a usable file: URL: ${url.href}`, { cause });
  }
}

/** What a value is, for messages. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'function') return 'a function';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : typeof value;
}

/** Whether a path ends with a slash, or with a last component that means the directory itself. */
export function namesContent(bytes: Uint8Array): boolean {
  const last = bytes.subarray(bytes.lastIndexOf(SLASH) + 1);
  return last.length === 0 || isDots(last);
}

/** Whether a component means the directory that it is in. */
export function isDot(name: Uint8Array): boolean {
  return name.length === 1 && name[0] === DOT;
}

/** Whether a component means the directory above. */
export function isDotDot(name: Uint8Array): boolean {
  return name.length === 2 && name[0] === DOT && name[1] === DOT;
}

/** Whether a component means one of the two. */
export function isDots(name: Uint8Array): boolean {
  return isDot(name) || isDotDot(name);
}

/** The last component; slashes at the end do not count. */
export function baseName(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === SLASH) end -= 1;
  // For an empty path, `lastIndexOf` would count from the end of the array.
  return end === 0 ? bytes.subarray(0, 0) : bytes.subarray(bytes.lastIndexOf(SLASH, end - 1) + 1, end);
}

/** The path without slashes at its end; the root directory keeps its one. */
export function withoutTrailingSlash(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 1 && bytes[end - 1] === SLASH) end -= 1;
  return bytes.subarray(0, end);
}

/** `parent` and `name` with one slash between; an empty part leaves the other alone. */
export function joinBytes(parent: Uint8Array, name: Uint8Array): Uint8Array {
  if (parent.length === 0) return name;
  if (name.length === 0) return parent;
  const separator = parent[parent.length - 1] === SLASH ? [] : [Buffer.from([SLASH])];
  return Buffer.concat([parent, ...separator, name]);
}

/** The names of a path: what stands between its slashes. */
export function namesOf(path: Uint8Array): Uint8Array[] {
  const names: Uint8Array[] = [];
  for (let start = 0; start <= path.length;) {
    const slash = path.indexOf(SLASH, start);
    const end = slash === -1 ? path.length : slash;
    if (end > start) names.push(path.subarray(start, end));
    start = end + 1;
  }
  return names;
}

/** The path of these names. */
export function joinNames(names: readonly Uint8Array[]): Uint8Array {
  return names.reduce(joinBytes, new Uint8Array());
}

/** An absolute path. `..` stays as it is: what it means depends on symlinks, which only the system can follow. */
export function absolute(bytes: Uint8Array): Uint8Array {
  const path = bytes[0] === SLASH ? bytes : joinBytes(workingDirectory(), bytes);
  return withoutTrailingSlash(path);
}

/** The working directory, to its last byte. */
export function workingDirectory(): Uint8Array {
  const text = process.cwd();
  // Node decodes the working directory as UTF-8; where that lost something, the kernel has the bytes.
  if (text.includes('\u{fffd}') && process.platform === 'linux') return readlinkSync('/proc/self/cwd', 'buffer');
  return bytesOf(text);
}

/** A path that failed, and why. */
interface FailedPath {
  path: string;
  message: string;
}

/**
 * A failure as people read it. The top of a tree has a name; a path of this machine has its first slash, which none of a failure has,
 * where the message has that path, and the message does not repeat it.
 */
export function shownFailure({ path, message }: FailedPath): FailedPath {
  const [whole, absolute] = / \((\/.*?)\/*\)$/.exec(message) ?? [];
  return whole !== undefined && absolute === `/${path}`
    ? { path: absolute, message: message.slice(0, -whole.length) }
    : { path: path === '' ? '.' : path, message };
}
