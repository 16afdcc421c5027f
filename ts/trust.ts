import { readFileSync } from 'node:fs';

import { captureCallSite } from './callsite.js';
import type { CallSite } from './callsite.js';
import { argument, checkOptions, flag, text } from './check.js';
import type { Checks } from './check.js';
import { defaultKeyPath, defaultKnownHostsPath } from './config.js';
import { ConfigError, atCallSite, fromNative, ioError } from './errors.js';
import { loadNative } from './native.js';
import type { Native } from './native.js';
import { publicKey } from './settings.js';
import { parseAuthority } from './target.js';

/** A key pair of this machine. */
export interface Identity {
  /** The public key, `ed25519:BASE64`: what the other side pins or allows. */
  publicKey: string;
  /** The file of the private key. */
  keyPath: string;
  /** Whether the file was made just now. */
  created: boolean;
}

/** Where pins are kept. */
export interface KnownHostsOptions {
  /** The file. Default: `known_hosts` in the configuration folder. */
  knownHosts?: string | undefined;
}

/**
 * The key pair that this machine shows to others. It is made on first use, with mode 0600.
 *
 * @param keyPath - The file. Default: `key.pem` in the configuration folder.
 *
 * @example `console.log((await identity()).publicKey)`
 */
export async function identity(keyPath?: string): Promise<Identity> {
  return withNative(captureCallSite(), (native) => {
    const path = argument(keyPath, 'keyPath', text('the path of a key file')) ?? defaultKeyPath();
    return { ...native.loadIdentity(path), keyPath: path };
  });
}

/**
 * The keys that are pinned for a server.
 *
 * @param authority - `host` or `host:port`, an IPv6 address in brackets.
 *
 * @example `await pinnedKeys('backup.example')`
 */
export async function pinnedKeys(authority: string, options?: KnownHostsOptions): Promise<string[]> {
  return withNative(captureCallSite(), (native) => {
    const { host, port } = hostAndPort(authority);
    return native.knownHost(fileOf(options), host, port);
  });
}

/** A server's key that is pinned. */
export interface PinnedServer {
  /** The server, `host:port`, an IPv6 address in brackets. */
  authority: string;
  /** Its key, `ed25519:BASE64`. */
  key: string;
}

/**
 * All servers whose keys are pinned, in the order of the file; one whose key is being changed has two.
 *
 * @throws {@link ConfigError} when a line is malformed.
 *
 * @example `for (const { authority, key } of await pinnedServers()) console.log(authority, key)`
 */
export async function pinnedServers(options?: KnownHostsOptions): Promise<PinnedServer[]> {
  return withNative(captureCallSite(), (native) => {
    const path = fileOf(options);
    const authorities = new Set(wordsOf(path).map(([authority = '']) => authority.toLowerCase()));
    return [...authorities].flatMap((authority) => {
      const { host, port } = hostAndPort(authority);
      return native.knownHost(path, host, port).map((key) => ({ authority, key }));
    });
  });
}

/** The words of each line that is no comment; empty for a missing file. */
function wordsOf(path: string): string[][] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines
      .map((line) => line.replace(/#.*$/, '').trim())
      .flatMap((line) => (line === '' ? [] : [line.split(/\s+/)]));
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw ioError('cannot read the file of known hosts', cause, path);
  }
}

/** How a key is pinned. */
export interface PinOptions extends KnownHostsOptions {
  /**
   * Put it in the place of those that are pinned; otherwise another one that is pinned is an error.
   *
   * Default: `false`.
   */
  replace?: boolean | undefined;
}

/**
 * Pins a server's key. Compare it with what the server itself shows, over another channel.
 *
 * @param authority - `host` or `host:port`, an IPv6 address in brackets.
 * @param key - `ed25519:BASE64`.
 *
 * @example `await pinKey('backup.example', 'ed25519:…')`
 */
export async function pinKey(authority: string, key: string, options?: PinOptions): Promise<void> {
  await withNative(captureCallSite(), (native) => {
    const { host, port } = hostAndPort(authority);
    const pinned = argument(key, 'key', publicKey);
    if (pinned === undefined)
      throw new ConfigError('argument key is missing: give ed25519: and 43 characters of base64');
    const { replace, ...others } = checkOptions<PinOptions>(options, PIN_CHECKS, 'options');
    const file = fileOf(others);
    if (replace === true) native.replaceHost(file, host, port, pinned);
    else native.trustHost(file, host, port, pinned);
  });
}

/**
 * Removes the pins of a server.
 *
 * @returns Whether there were any.
 *
 * @example `await unpinKeys('backup.example')`
 */
export async function unpinKeys(authority: string, options?: KnownHostsOptions): Promise<boolean> {
  return withNative(captureCallSite(), (native) => {
    const { host, port } = hostAndPort(authority);
    return native.forgetHost(fileOf(options), host, port);
  });
}

/** Calls `use` with the native core, and gives its errors the caller's stack. */
export function withNative<T>(site: CallSite, use: (native: Native) => T | Promise<T>): Promise<T> {
  return withSite(site, async () => use(await loadNative()));
}

/** Calls `work`, and gives its errors the caller's stack. */
export async function withSite<T>(site: CallSite, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw atCallSite(fromNative(error), site);
  }
}

const KNOWN_HOSTS_CHECKS: Checks<KnownHostsOptions> = { knownHosts: text('the path of a file') };

const PIN_CHECKS: Checks<PinOptions> = { ...KNOWN_HOSTS_CHECKS, replace: flag };

/** The file of pins that the options name. */
function fileOf(options: unknown): string {
  const { knownHosts } = checkOptions<KnownHostsOptions>(options, KNOWN_HOSTS_CHECKS, 'options');
  return knownHosts ?? defaultKnownHostsPath();
}

/** Parses the argument that names a server. */
export function hostAndPort(authority: unknown, name = 'authority'): { host: string; port: number } {
  const given = argument(authority, name, text('a host, as in backup.example or [::1]:28792'));
  if (given === undefined) throw new ConfigError(`${name} is missing: give a host, as in backup.example`);
  return parseAuthority(given.replace(/^sparsync:\/\//i, '').replace(/\/.*$/s, ''), (why) => {
    throw new ConfigError(`${JSON.stringify(given)} is not a host: ${why}`);
  });
}
