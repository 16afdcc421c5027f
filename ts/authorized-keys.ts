import { captureCallSite } from './callsite.js';
import { argument, checkOptions, text } from './check.js';
import type { Checks } from './check.js';
import { defaultAuthorizedKeysPath } from './config.js';
import { ConfigError, NotFoundError } from './errors.js';
import type { NativeAuthorizedKey } from './native.js';
import { OPERATIONS } from './server-options.js';
import type { Operation } from './server-options.js';
import { withNative } from './trust.js';

/** A client that a server lets in. */
export interface AuthorizedKey {
  /** Its name. */
  name: string;
  /** Its public key, `ed25519:BASE64`. */
  key: string;
  /** What it may touch: roots, or roots with a prefix, as they stand in the file; empty for every root. */
  roots: string[];
  /** What it may do there. */
  operations: Operation[];
  /** The most bytes that it may have stored there. */
  quotaBytes?: number;
  /** The most entries that it may have stored there. */
  entries?: number;
  /** When its time is over. */
  expires?: Date;
  /** The line of the file, from 1. */
  line: number;
}

/** Where a server finds the clients that it lets in. */
export interface AuthorizedKeysOptions {
  /** The file. Default: `authorized_keys` in the configuration folder. */
  authorizedKeysPath?: string | undefined;
}

/**
 * The clients that a file lets in.
 *
 * @throws {@link ConfigError} with `details.line` for a line that cannot be understood.
 *
 * @example `for (const { name, expires } of await authorizedKeys()) console.log(name, expires)`
 */
export async function authorizedKeys(options?: AuthorizedKeysOptions): Promise<AuthorizedKey[]> {
  return withNative(captureCallSite(), (native) => native.authorizedKeys(keyFileOf(options)).map(toAuthorizedKey));
}

/**
 * Removes clients from a file. A server that has it lets them in no more, and ends their connections within 5 seconds.
 *
 * @param who - The name of the clients, or one's key.
 * @returns Those that were removed.
 * @throws {@link NotFoundError} when there is none.
 *
 * @example `await revokeKey('laptop')`
 */
export async function revokeKey(who: string, options?: AuthorizedKeysOptions): Promise<AuthorizedKey[]> {
  return withNative(captureCallSite(), (native) => {
    const meant = argument(who, 'who', text('the name or key of a client'));
    if (meant === undefined) throw new ConfigError('argument who is missing: give the name or the key of a client');
    const path = keyFileOf(options);
    const revoked = native.revokeKey(path, meant);
    if (revoked.length > 0) return revoked.map(toAuthorizedKey);
    throw new NotFoundError(`there is no client ${JSON.stringify(meant)} in ${path}`, {
      code: 'ERR_SPARSYNC_NOT_FOUND',
      path,
    });
  });
}

function toAuthorizedKey(found: NativeAuthorizedKey): AuthorizedKey {
  const { name, publicKey: key, roots, operations, quotaBytes, entries, expiresMs, line } = found;
  return {
    name,
    key,
    roots,
    operations: OPERATIONS.filter((operation) => operations.includes(operation)),
    ...(quotaBytes === undefined ? {} : { quotaBytes }),
    ...(entries === undefined ? {} : { entries }),
    ...(expiresMs === undefined ? {} : { expires: new Date(expiresMs) }),
    line,
  };
}

const AUTHORIZED_KEYS_CHECKS: Checks<AuthorizedKeysOptions> = { authorizedKeysPath: text('the path of a file') };

/** The file of clients that the options name. */
function keyFileOf(options: unknown): string {
  const given = checkOptions<AuthorizedKeysOptions>(options, AUTHORIZED_KEYS_CHECKS, 'options');
  return given.authorizedKeysPath ?? defaultAuthorizedKeysPath();
}
