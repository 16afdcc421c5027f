import { captureCallSite } from './callsite.js';
import { argument, checkOptions, instance, listOf, secret, text } from './check.js';
import type { Check, Checks } from './check.js';
import { defaultAuthorizedKeysPath, defaultKeyPath, defaultKnownHostsPath } from './config.js';
import { formatCredential } from './credential.js';
import { ConfigError, HostKeyError } from './errors.js';
import { builtin } from './builtin.js';
import { nativeConnection, whileConnecting } from './link.js';
import type { ConnectOptions } from './options.js';
import { SCOPE_CHECKS, moment, scopeWords } from './server-options.js';
import type { AllowedClient } from './server-options.js';
import { CONNECT_CHECKS, connectSettings } from './settings.js';
import { hostAndPort, withNative } from './trust.js';

/** What somebody who is invited to a server may do there, and which server it is. */
export interface InviteOptions extends Omit<AllowedClient, 'name' | 'key'> {
  /** The server's file of clients. Default: `authorized_keys` in the configuration folder. */
  authorizedKeysPath?: string | undefined;
  /** The server's private key. Default: `key.pem` in the configuration folder. */
  keyPath?: string | undefined;
}

/** An invitation. */
export interface Invitation {
  /** What the guest is given: a secret, which is nowhere else. */
  invitation: string;
  /** The server's key, which the invitation names. */
  serverKey: string;
  /** When it ends. */
  until: Date;
}

/** A credential for a machine that has nothing else. */
export interface IssuedCredential {
  /** The value of `SPARSYNC_CREDENTIAL`: a secret, which is nowhere else. */
  credential: string;
  /** The public key that it is for, as it stands in the file of clients. */
  key: string;
}

/** What a server has written down for a client that has joined. */
export interface Joined {
  /** The name by which the server calls this client. */
  name: string;
  /** The server's key, which is pinned now. */
  serverKey: string;
  /** This client's key. */
  key: string;
  /** The roots, with prefixes, that it may use, percent-encoded as in a URL; empty for every root. */
  roots: string[];
  /** The line of the server's file of clients. */
  line: string;
}

/** How to reach the server that is joined. */
export interface JoinOptions extends Pick<ConnectOptions, 'identity' | 'connectTimeoutMs'> {
  /** Where its key is pinned. Default: `known_hosts` in the configuration folder. */
  knownHosts?: string | undefined;
}

/** How long an invitation is valid: long enough for two people who are in contact. */
const VALID_MS = 15 * 60_000;

const word: Check<string> = instance<string>(
  (value): value is string => typeof value === 'string' && /^[^\s#,=][^\s,=]*$/.test(value),
  'a word without blanks, commas and = that does not begin with #',
);

/** A root that somebody is invited to. */
export const rootWord: Check<string> = instance<string>(
  (value): value is string => typeof value === 'string' && /^[^\s#][^\s]*$/.test(value),
  'the name of a root, or ROOT/PREFIX, percent-encoded',
);

const INVITE_CHECKS: Checks<InviteOptions> = {
  roots: listOf(rootWord),
  ...SCOPE_CHECKS,
  authorizedKeysPath: text('the path of a file'),
  keyPath: text('the path of a key file'),
};

/**
 * Invites somebody to the server of this machine: who joins with the invitation within 15 minutes is let in from then on. It
 * works once. A server that runs needs no restart.
 *
 * @param name - What the client is to be called.
 * @throws {@link NotFoundError} when the server has no key there: it makes one at its first start.
 *
 * @example `const { invitation } = await invite('alice', { roots: ['backup/alice'] })`
 */
export async function invite(name: string, options?: InviteOptions): Promise<Invitation> {
  return withNative(captureCallSite(), (native) => {
    const { client, scope, keysPath, keyPath } = invited(name, options);
    const serverKey = native.serverKey(keyPath, 'status', 0).publicKey;
    const until = new Date(Date.now() + VALID_MS);
    return { invitation: native.invite(keysPath, client, scope, moment(until), serverKey), serverKey, until };
  });
}

/**
 * Makes a key for a machine that has no place for one, lets it in at the server of this machine, and gives it in one word
 * with the address and key of the server.
 *
 * @param name - What the client is to be called.
 * @param address - Where it reaches the server, `host` or `host:port`.
 * @throws {@link NotFoundError} as {@link invite}.
 *
 * @example `const { credential } = await issueCredential('ci', 'nas.example', { roots: ['artifacts'] })`
 */
export async function issueCredential(
  name: string,
  address: string,
  options?: InviteOptions,
): Promise<IssuedCredential> {
  return withNative(captureCallSite(), (native) => {
    const { client, scope, keysPath, keyPath } = invited(name, options);
    hostAndPort(address, 'address');
    const { publicKey: pin, nextKey } = native.serverKey(keyPath, 'status', 0);
    const { privateKey } = builtin('node:crypto').generateKeyPairSync('ed25519');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const key = native.publicKeyOf(pem);
    native.authorizeKey(keysPath, `${client} ${key} ${scope}`.trimEnd());
    return {
      credential: formatCredential({ address, pins: nextKey === undefined ? [pin] : [pin, nextKey], key: pem, scope }),
      key,
    };
  });
}

/**
 * Becomes a client of a server by an invitation, and pins the server's key. The server has to prove that it holds the key
 * that the invitation names before anything of it is told.
 *
 * @param address - `host` or `host:port`, an IPv6 address in brackets.
 * @throws {@link HostKeyError} when the server has another key, or another one is pinned; {@link AccessError} when the
 *   invitation was used, has ended, or is not of this server.
 *
 * @example `const { roots } = await join('nas.example', process.env.INVITATION)`
 */
export async function join(address: string, invitation: string, options?: JoinOptions): Promise<Joined> {
  return withNative(captureCallSite(), async (native) => {
    const { host, port } = hostAndPort(address, 'address');
    const given = argument(invitation, 'invitation', secret(/./s, 'the text of an invitation'));
    if (given === undefined) throw new ConfigError('argument invitation is missing: give what sparsync invite printed');
    const { knownHosts, ...rest } = checkOptions<JoinOptions>(options, JOIN_CHECKS, 'options');
    const settings = connectSettings(rest);
    const pins = knownHosts ?? defaultKnownHostsPath();
    const serverKey = native.invitationServerKey(given);
    const pinned = native.knownHost(pins, host, port);
    if (pinned.length > 0 && !pinned.includes(serverKey)) throw otherPin(host, port, serverKey, pinned, pins);
    // The invitation says whom to trust.
    const how = nativeConnection({ host, port }, settings, { pins: [], acceptNew: false });
    const line = await native.join(how, given).catch((error: unknown) => {
      throw whileConnecting(error);
    });
    if (pinned.length === 0) native.trustHost(pins, host, port, serverKey);
    const [name = '', key = '', ...words] = line.split(' ');
    const roots = words.filter((each) => each.startsWith('root=')).map((each) => each.slice('root='.length));
    return { name, key, serverKey, roots, line };
  });
}

/** The checks of what says how a server is joined. */
export const JOIN_CHECKS: Checks<JoinOptions> = {
  identity: CONNECT_CHECKS.identity,
  connectTimeoutMs: CONNECT_CHECKS.connectTimeoutMs,
  knownHosts: text('the path of a file'),
};

function invited(
  name: unknown,
  options: unknown,
): { client: string; scope: string; keysPath: string; keyPath: string } {
  const client = argument(name, 'name', word);
  if (client === undefined) throw new ConfigError('name is missing: give the name of a client');
  const { authorizedKeysPath, keyPath, ...scope } = checkOptions<InviteOptions>(options, INVITE_CHECKS, 'options');
  return {
    client,
    scope: scopeWords(scope).join(' '),
    keysPath: authorizedKeysPath ?? defaultAuthorizedKeysPath(),
    keyPath: keyPath ?? defaultKeyPath(),
  };
}

function otherPin(host: string, port: number, key: string, pinned: readonly string[], path: string): HostKeyError {
  const expected = pinned.join(', ');
  return new HostKeyError(`the invitation has the key ${key} for ${host}:${port}, but ${path} pins ${expected}`, {
    code: 'ERR_SPARSYNC_HOST_KEY_CHANGED',
    path,
    details: { host, port, key, expected },
  });
}
