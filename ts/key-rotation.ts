import { captureCallSite } from './callsite.js';
import { argument, checkOptions, flag, integer, text } from './check.js';
import type { Checks } from './check.js';
import { defaultKeyPath } from './config.js';
import { ConfigError } from './errors.js';
import type { NativeServerKey } from './native.js';
import { withNative } from './trust.js';

/** The key of a server. */
export interface ServerKey {
  /** The key that it shows, `ed25519:BASE64`. */
  publicKey: string;
  /** The key that is to follow it, and from when. */
  next?: {
    /** The key, `ed25519:BASE64`. */
    publicKey: string;
    /** From then on the server shows it. */
    from: Date;
  };
}

/** How a server's key is changed. */
export interface RotateKeyOptions {
  /** The server's private key. Default: `key.pem` in the configuration folder. */
  keyPath?: string | undefined;
  /**
   * How long the next key is announced before it counts, in milliseconds.
   *
   * Default: 30 days. Range: 0 to 10 years.
   */
  afterMs?: number | undefined;
  /** Let the next key, which is announced already, count from now on. Default: `false`. */
  now?: boolean | undefined;
  /** Take the next key back. Default: `false`. */
  cancel?: boolean | undefined;
}

const DAY_MS = 86_400_000;

const ROTATE_CHECKS: Checks<RotateKeyOptions> = {
  keyPath: text('the path of a key file'),
  afterMs: integer(0, 3650 * DAY_MS, 'milliseconds'),
  now: flag,
  cancel: flag,
};

/**
 * The key of the server of this machine, and the one that is to follow it.
 *
 * @param keyPath - The file. Default: `key.pem` in the configuration folder.
 * @throws {@link NotFoundError} when there is none.
 *
 * @example `const { publicKey, next } = await serverKey()`
 */
export async function serverKey(keyPath?: string): Promise<ServerKey> {
  return withNative(captureCallSite(), (native) => {
    const path = argument(keyPath, 'keyPath', text('the path of a key file')) ?? defaultKeyPath();
    return toServerKey(native.serverKey(path, 'status', 0));
  });
}

/**
 * Changes the key of the server of this machine without an alarm at its clients: it makes the next key and has a server, which
 * may run, tell of it in each handshake; clients that keep the pin in a file write the next one beside it. When its time has
 * come the server shows it.
 *
 * @throws {@link ConfigError} when a key is announced already, or, with `now` and `cancel`, when none is; {@link NotFoundError}
 *   when the server has no key yet.
 *
 * @example `const { next } = await rotateKey({ afterMs: 14 * 86_400_000 })`
 */
export async function rotateKey(options?: RotateKeyOptions): Promise<ServerKey> {
  return withNative(captureCallSite(), (native) => {
    const { keyPath, afterMs, now, cancel } = checkOptions<RotateKeyOptions>(options, ROTATE_CHECKS, 'options');
    if ([afterMs !== undefined, now === true, cancel === true].filter(Boolean).length > 1)
      throw new ConfigError('options afterMs, now and cancel cannot be combined');
    const what = now === true ? 'now' : cancel === true ? 'keep' : 'rotate';
    return toServerKey(native.serverKey(keyPath ?? defaultKeyPath(), what, Date.now() + (afterMs ?? 30 * DAY_MS)));
  });
}

function toServerKey({ publicKey, nextKey, fromMs }: NativeServerKey): ServerKey {
  const next = nextKey === undefined ? undefined : { publicKey: nextKey, from: new Date(fromMs ?? 0) };
  return { publicKey, ...(next === undefined ? {} : { next }) };
}
