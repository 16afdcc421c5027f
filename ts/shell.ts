import { isUtf8 } from 'node:buffer';

import { ConfigError } from './errors.js';
import { bytesOf, describe, isDot, isDotDot, joinNames, namesOf, percentDecoded, textOf } from './paths.js';

/** How a place is reached that has no address of a server. */
export type Via =
  /** By the remote shell, on a host. */
  | { readonly user: string | undefined; readonly port: number | undefined }
  /** By a command of its own. */
  | { readonly command: readonly string[] };

/**
 * A place on a host that is reached by `ssh`, or by what takes its place. Relative paths begin in the home folder there; `~/` is
 * that of the user whom `HOME` there names.
 */
export interface ShellPlace {
  /** The host, as `ssh` takes it: a name, an address, or a name from its configuration. */
  host: string;
  /** The user there. Default: what `ssh` says. */
  user?: string | undefined;
  /** The port of `sshd`. Default: what `ssh` says. */
  port?: number | undefined;
  /** The path there, plain text or bytes. */
  path: string | Uint8Array;
}

/** A place that a command leads to: into a container, to another user, anywhere that a pipe to a process leads. */
export interface CommandPlace {
  /**
   * The program and its arguments, which no shell reads; what runs at the other end is added to them.
   *
   * @example `['docker', 'exec', '-i', 'sandbox']`
   */
  command: readonly string[];
  /**
   * The path there, plain text or bytes. A relative one begins where the process at the other end does, and `~/` in the home folder
   * of its user.
   */
  path: string | Uint8Array;
}

/** A place that is reached by a command's pipe. */
export type PipePlace = ShellPlace | CommandPlace;

/** The root at which paths of a pipe's other end begin: one of the three that it has. */
const HOME = 'home';
const TILDE = 'tilde';
const FILES = 'fs';

/** Characters of a host that a shell or `ssh` could interpret. */
const UNSAFE = /[\s'"`$\\;&<>|(){}*?!#]|[^ -~]|^-/;

/** What no user can be called: no shell reads the name, and `ssh` decides about the rest. */
const NO_USER = /^-|^$|\p{Cc}/u;

/** The parts of a target for such a place, without those that only URLs of this package have. */
export interface PipeParts {
  readonly host: string;
  readonly via: Via;
  readonly root: string;
  readonly path: Uint8Array;
  readonly anchor: number;
  readonly trailingSlash: boolean;
}

/** Checks a place. */
export function pipeParts(place: PipePlace, what: string): PipeParts {
  const path = typeof place.path === 'string' ? bytesOf(place.path) : place.path;
  if (!(path instanceof Uint8Array)) {
    throw new ConfigError(`${what}.path must be a string or a Uint8Array, not ${describe(path)}`);
  }
  const where = placeOf(path, what);
  if ('command' in place) {
    const { command } = place;
    if (!Array.isArray(command) || command.length === 0 || ![...command].every(isWord)) {
      throw new ConfigError(`${what}.command must be a program and its arguments, an array of strings`);
    }
    return { host: '', via: { command: [...command] }, ...where };
  }
  const { host, user, port } = place;
  if (!isSafe(host)) throw new ConfigError(`${what} has no usable host: ${describe(host)}`);
  if (user !== undefined && (typeof user !== 'string' || NO_USER.test(user)))
    throw new ConfigError(`${what} has no usable user: ${describe(user)}`);
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
    throw new ConfigError(`${what} has no usable port: ${describe(port)}`);
  }
  return { host, via: { user, port }, ...where };
}

const isSafe = (name: unknown): boolean => typeof name === 'string' && name !== '' && !UNSAFE.test(name);

const isWord = (word: unknown): word is string => typeof word === 'string' && !word.includes('\0');

/** Root and path of a path at the other end. */
export function placeOf(path: Uint8Array, what: string): Omit<PipeParts, 'host' | 'via'> {
  if (path.includes(0)) throw new ConfigError(`${what} contains a NUL byte`, { path: textOf(path) });
  const isHome = path[0] === 0x7e && (path.length === 1 || path[1] === 0x2f);
  if (path[0] === 0x7e && !isHome) {
    throw new ConfigError(`${what} names the home folder of another user: give its absolute path`);
  }
  const rest = isHome ? path.subarray(2) : path;
  const names = (part: Uint8Array): Uint8Array[] => namesOf(part).filter((name) => !isDot(name));
  if (names(rest).some(isDotDot)) {
    throw new ConfigError(`${what} cannot contain "..": give the absolute path`, { path: textOf(path) });
  }
  const anchor = Buffer.from(rest).indexOf('/./');
  const end = textOf(rest.subarray(-2));
  return {
    root: isHome ? TILDE : rest[0] === 0x2f ? FILES : HOME,
    path: joinNames(names(rest)),
    anchor: anchor === -1 ? 0 : joinNames(names(rest.subarray(0, anchor))).length,
    trailingSlash: rest.length === 0 || end.endsWith('/') || end === '/.' || isDot(rest),
  };
}

/** Whether a path of a pipe's other end begins with a slash, which the parts of a place leave out. */
export function isWhole({ root, via }: { readonly root: string; readonly via?: Via }): boolean {
  return via !== undefined && root === FILES;
}

/**
 * Takes `[user@]host:path` apart, as rsync has it: a colon before the first slash. Gives `undefined` for a local path.
 * `before` is the previous operand, whose host `:path` is on.
 */
export function parseShellPlace(bytes: Uint8Array, before?: ShellPlace): ShellPlace | undefined {
  const text = Buffer.from(bytes).toString('latin1');
  const match = /^(?:([^/:]*)@)?(\[[^/\]]+\]|[^/:@]*):/.exec(text);
  if (match === null) return undefined;
  const path = bytes.subarray(match[0].length);
  if (path[0] === 0x3a) throw daemonModule(bytes);
  const [, user, host = ''] = match;
  if (host === '' && user === undefined) {
    if (before === undefined) throw new ConfigError(`${textOf(bytes)} names no host; write a local path as ./…`);
    return { ...before, path };
  }
  const named = user === undefined ? undefined : textOf(Buffer.from(user, 'latin1'));
  return { host: host.replace(/^\[(.*)\]$/, '$1'), user: named, path };
}

/** The error for a place on rsync's own daemon. */
export function daemonModule(bytes: Uint8Array): ConfigError {
  return new ConfigError(
    `${textOf(bytes)} is a module of an rsync daemon, whose protocol is not supported: use HOST:PATH for ssh, sparsync://HOST/ROOT for a sparsync server`,
  );
}

/** Takes `ssh://[user@]host[:port]/path` apart; `/~/` at its beginning is the home folder. */
export function parseSshUrl(url: string, what: string): ShellPlace {
  const match = /^ssh:\/\/(?:([^@/]*)@)?(\[[^\]/]+\]|[^:/@]+)(?::(\d+))?(\/.*)?$/is.exec(url);
  const [, user, host, port, path] = match ?? [];
  // A password would be visible in the list of processes and in messages.
  if (user !== undefined && /:|%3a/i.test(user))
    throw new ConfigError(`${what} has a password in its URL: leave it out, ssh asks for it or uses a key`);
  if (host === undefined) {
    const shown = url.replace(/\/\/[^/]*@/, '//…@').slice(0, 200);
    throw new ConfigError(`${what} is not a usable URL (${shown}): it is written ssh://user@host:port/path`);
  }
  return {
    host: host.replace(/^\[(.*)\]$/, '$1'),
    user: user === undefined ? undefined : decoded(user, what),
    port: port === undefined ? undefined : Number(port),
    path: decodedBytes(path ?? '', what).subarray(path?.startsWith('/~') === true ? 1 : 0),
  };
}

function decoded(text: string, what: string): string {
  const bytes = decodedBytes(text, what);
  if (!isUtf8(bytes)) throw new ConfigError(`${what} has a user whose name is not UTF-8`);
  return textOf(bytes);
}

function decodedBytes(text: string, what: string): Uint8Array {
  return percentDecoded(text, () => {
    throw new ConfigError(
      `${what}: a "%" in a URL must be followed by two hexadecimal digits; a "%" itself is written %25`,
    );
  });
}

/** Where a command leads, for people. */
export function shownPlace(host: string, via: Via): string {
  if ('command' in via) return via.command.join(' ');
  return `${via.user === undefined ? '' : `${via.user}@`}${host}${via.port === undefined ? '' : `:${via.port}`}`;
}

/** A text quoted as one word of a POSIX shell. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
