import { isUtf8 } from 'node:buffer';

import { ConfigError } from './errors.js';
import { bytesOf, hasNul, isDot, isDotDot, joinNames, namesOf, pathBytes, percentDecoded, textOf } from './paths.js';
import { isPlain } from './check.js';
import type { PathLike } from './paths.js';
import { parseSshUrl, pipeParts, shownPlace } from './shell.js';
import type { PipePlace, Via } from './shell.js';

/** The UDP port of a server when a URL names none. */
export const DEFAULT_PORT = 28792;

const SCHEME = 'sparsync://';

/** A place on a server. */
export interface RemoteTarget {
  readonly kind: 'remote';
  /** Name or address of the host, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** The named root; empty when the URL ends with the host. */
  readonly root: string;
  /** The path below the root, `/`-separated, without slashes at either end; empty for the root itself. */
  readonly path: Uint8Array;
  /** Whether the URL ended with a slash. */
  readonly trailingSlash: boolean;
  /** How many bytes of the path come before the first `/./`; 0 if there is none. */
  readonly anchor: number;
  /** How the target is reached, if not by the address of a server. */
  readonly via?: Via;
}

/** A place on this machine, as the caller wrote it. */
export interface LocalTarget {
  readonly kind: 'local';
  readonly path: Uint8Array;
}

/** Either end of a sync. */
export type Target = RemoteTarget | LocalTarget;

/** Either end as a caller gives it. */
export type Location = PathLike | PipePlace;

/** Parses a URL or another place on a server; everything else is a local path. */
export function parseTarget(location: Location, what: string): Target {
  // Every scheme ends with a colon, and most paths have none.
  if (typeof location === 'string' && !location.includes(':'))
    return { kind: 'local', path: pathBytes(location, what) };
  if (isPlace(location)) return pipeTarget(location, what);
  if (location instanceof URL && location.protocol === 'ssh:')
    return pipeTarget(parseSshUrl(location.href, what), what);
  if (location instanceof URL && location.protocol === 'sparsync:') return parseRemote(location.href, what);
  const bytes = pathBytes(location, what);
  if (startsWithScheme(bytes)) return parseRemote(escapeBytes(bytes), what);
  if (/^ssh:\/\//i.test(textOf(bytes.subarray(0, 6)))) return pipeTarget(parseSshUrl(escapeBytes(bytes), what), what);
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]+):\/\//.exec(textOf(bytes.subarray(0, 40)))?.[1];
  if (scheme !== undefined && typeof location === 'string') {
    const hint =
      scheme.toLowerCase() === 'file'
        ? 'pass new URL(…) for a file: URL'
        : 'only sparsync:// and ssh:// URLs are supported';
    throw new ConfigError(
      `${what} has the scheme ${scheme}: ${hint}; a local path of that name is written ./${scheme}:…`,
    );
  }
  return { kind: 'local', path: bytes };
}

function isPlace(location: Location): location is PipePlace {
  return isPlain(location) && 'path' in location && ('host' in location || 'command' in location);
}

function pipeTarget(place: PipePlace, what: string): RemoteTarget {
  return { kind: 'remote', port: 0, ...pipeParts(place, what) };
}

/** A key for the machine of a target, by which machines are told apart. */
export function machineOf(target: Target): string {
  if (target.kind === 'local') return '';
  return target.via === undefined ? formatRemote(target.host, target.port) : shownPlace(target.host, target.via);
}

/** Takes a `sparsync://host[:port][/root[/path]]` URL apart. */
export function parseRemote(url: string, what: string): RemoteTarget {
  const shown = url.length > 200 ? `${url.slice(0, 200)}…` : url;
  const fail = (why: string): never => {
    throw new ConfigError(`${what} is not a usable URL (${shown}): ${why}`);
  };
  if (url.slice(0, SCHEME.length).toLowerCase() !== SCHEME) fail('it must begin with sparsync://');
  const rest = url.slice(SCHEME.length);
  const slash = rest.indexOf('/');
  const authority = slash === -1 ? rest : rest.slice(0, slash);
  const tail = slash === -1 ? '' : rest.slice(slash);
  if (/[?#]/.test(rest)) fail('a "?" in a path is written %3F and a "#" is written %23');
  if (authority.includes('@')) fail('it cannot name a user: a client is identified by its key');
  const { host, port } = parseAuthority(authority, fail);

  const segments = (path: string): string[] => path.split('/').filter((segment) => segment !== '' && segment !== '.');
  const names = segments(tail).map((segment) => decodeSegment(segment, fail));
  const anchor = tail.indexOf('/./');
  const above = anchor === -1 ? 1 : segments(tail.slice(0, anchor)).length;
  const root = names[0];
  if (root !== undefined && !isUtf8(root)) fail('the name of a root must be UTF-8');
  return {
    kind: 'remote',
    host,
    port,
    root: root === undefined ? '' : textOf(root),
    path: joinNames(names.slice(1)),
    anchor: joinNames(names.slice(1, above)).length,
    trailingSlash: tail.endsWith('/') || tail.endsWith('/.'),
  };
}

/** Takes `host`, `host:port`, `[v6]` or `[v6]:port` apart. */
export function parseAuthority(authority: string, fail: (why: string) => never): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.~-]+)?)\]|([^:[\]\s/]+))(?::(\d*))?$/.exec(authority);
  if (match === null) {
    return fail(
      authority.split(':').length > 2 && !authority.startsWith('[')
        ? 'an IPv6 address is written in brackets, as in sparsync://[::1]/root'
        : 'it must name a host, as in sparsync://host:28792/root',
    );
  }
  const host = match[1] ?? match[2] ?? '';
  const digits = match[3] ?? '';
  const port = digits === '' ? DEFAULT_PORT : Number(digits);
  if (port < 1 || port > 65_535) return fail(`port ${digits} is not between 1 and 65535`);
  return { host, port };
}

function decodeSegment(segment: string, fail: (why: string) => never): Uint8Array {
  const bytes = percentDecoded(segment, (hex) =>
    fail(`"%${hex}" is not a percent-encoded byte; a "%" itself is written %25`),
  );
  if (bytes.includes(0)) fail('a path cannot contain a NUL byte');
  if (bytes.includes(0x2f)) fail('a name cannot contain a slash (%2F)');
  if (isDotDot(bytes)) fail('a path cannot contain ".."');
  return bytes;
}

function startsWithScheme(bytes: Uint8Array): boolean {
  return textOf(bytes.subarray(0, SCHEME.length)).toLowerCase() === SCHEME;
}

/** A URL as text, with bytes beyond ASCII percent-encoded, so that names that are not UTF-8 come through. */
function escapeBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    text += byte < 0x80 ? String.fromCodePoint(byte) : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return text;
}

/** Splits the remote path of a kept connection, plain text or bytes, into names; the first may be the root. */
export function remotePathNames(path: string | Uint8Array, what: string): Uint8Array[] {
  const bytes = typeof path === 'string' ? bytesOf(path) : path;
  if (!(bytes instanceof Uint8Array)) throw new ConfigError(`${what} must be a string or a Uint8Array`);
  if (hasNul(path, bytes)) throw new ConfigError(`${what} contains a NUL byte`, { path: textOf(bytes) });
  const names = namesOf(bytes).filter((name) => !isDot(name));
  if (names.some(isDotDot)) {
    throw new ConfigError(`${what} cannot contain ".."`, { path: textOf(bytes) });
  }
  return names;
}

/** A URL for a place on a server. */
export function formatRemote(host: string, port: number, root = ''): string {
  const shownHost = host.includes(':') ? `[${host}]` : host;
  const shownPort = port === DEFAULT_PORT ? '' : `:${port}`;
  return `${SCHEME}${shownHost}${shownPort}${root === '' ? '' : `/${encodeURIComponent(root)}`}`;
}
