import { ConfigError } from './errors.js';
import { publicKey } from './settings.js';
import type { ConnectSettings } from './settings.js';
import { parseAuthority } from './target.js';
import type { RemoteTarget } from './target.js';

/** The data that a machine needs to reach one server as one client. */
export interface Credential {
  /** The server, `host` or `host:port`. */
  address: string;
  /** The server's key, `ed25519:BASE64`, and the one that is to follow it. */
  pins: string[];
  /** The private key of the client, PKCS #8 in PEM. */
  key: string;
  /** What the server has written down for it, for people. */
  scope: string;
}

/** The beginning of every credential, by which one is recognized. */
const PREFIX = 'sparsync-credential-1.';

const FRAME = '-----BEGIN PRIVATE KEY-----';

/** A credential as one word. */
export function formatCredential({ address, pins: [pin, next], key, scope }: Credential): string {
  const der = key.replaceAll(/-----[A-Z ]+-----|\s/g, '');
  return PREFIX + Buffer.from(JSON.stringify({ address, pin, next, key: der, scope })).toString('base64url');
}

/** Takes a credential apart. It is a secret: no message repeats any of it. */
export function parseCredential(text: string): Credential {
  const refuse = (): never => {
    throw new ConfigError(`SPARSYNC_CREDENTIAL is not a credential: it must be one word that begins with ${PREFIX}`);
  };
  // As `invite --credential` prints it: who stores the line stores it as it is.
  const given = text.trim().replace(/^SPARSYNC_CREDENTIAL=/, '');
  if (!given.startsWith(PREFIX)) return refuse();
  const fields = fieldsOf(given.slice(PREFIX.length));
  const { address, pin, next, key, scope } = fields ?? refuse();
  if (typeof address !== 'string' || typeof key !== 'string' || !/^[A-Za-z0-9+/=]+$/.test(key)) return refuse();
  return {
    address,
    pins: [pin, ...(next === undefined ? [] : [next])].map((each) => publicKey(each, 'pin of SPARSYNC_CREDENTIAL')),
    key: `${FRAME}\n${key}\n-----END PRIVATE KEY-----\n`,
    scope: typeof scope === 'string' ? scope : '',
  };
}

function fieldsOf(encoded: string): Partial<Record<string, unknown>> | undefined {
  try {
    const fields: unknown = JSON.parse(Buffer.from(encoded, 'base64url').toString());
    return typeof fields === 'object' && fields !== null ? { ...fields } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Adds the values of a credential to settings that do not have them. A credential is for one server: for another one it
 * is refused, if any of its values is needed.
 */
export function withCredential(
  text: string,
  target: RemoteTarget,
  { identity, trust, ...others }: ConnectSettings,
): ConnectSettings {
  const credential = parseCredential(text);
  const { host, port } = parseAuthority(credential.address, () => {
    throw new ConfigError('SPARSYNC_CREDENTIAL has no usable address');
  });
  const isIts = host.toLowerCase() === target.host.toLowerCase() && port === target.port;
  const hasIdentity = identity.key !== undefined || identity.keyPath !== undefined;
  if (!isIts && hasIdentity) return { identity, trust, ...others };
  if (!isIts) {
    throw new ConfigError(
      `SPARSYNC_CREDENTIAL is for ${host}:${port}, not for ${target.host}:${target.port}: give the key for that server with ` +
        '--identity (identity in a program), or unset the variable',
    );
  }
  const hasTrust = trust.pin.length > 0 || trust.ca !== undefined || trust.knownHosts !== undefined;
  return {
    identity: hasIdentity ? identity : { ...identity, key: credential.key },
    trust: hasTrust ? trust : { ...trust, pin: credential.pins },
    ...others,
  };
}
