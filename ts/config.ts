import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { builtin } from './builtin.js';
import { ConfigError } from './errors.js';

/** The environment variables that this package reads, here and in its native core. */
export interface Environment {
  /** Folder of key, `known_hosts` and `authorized_keys`. Default: `sparsync` in the XDG configuration folder. */
  SPARSYNC_CONFIG_DIR?: string;
  /** Folder of what runs remember: mount points. Default: `sparsync` in the XDG state folder. Read by the native core. */
  SPARSYNC_STATE_DIR?: string;
  /** Parallel readers and writers, 1 to 4: the default of `lanes`. */
  SPARSYNC_BATCH_WRITE_CONCURRENCY?: string;
  /** `off`: deletions that look like an accident are made, as with `allowMassDelete: true`. Default: `on`. */
  SPARSYNC_GUARDS?: string;
  /** Anything but `0`: every sync and every server shows where its time went. */
  SPARSYNC_PROFILE?: string;
  /** What `sparsync invite --credential` printed: this client's key, the server, and the server's key. No file is read then. */
  SPARSYNC_CREDENTIAL?: string;
  /** The only file of settings to read, or `none`, as with `--config`. */
  SPARSYNC_CONFIG?: string;
  /** The folder of a service's secrets, from systemd: its files `sparsync-key` and `sparsync-credential` count. */
  CREDENTIALS_DIRECTORY?: string;
  /** The invitation that `sparsync join` uses, instead of asking for it. */
  SPARSYNC_INVITATION?: string;
}

/** A variable of the environment; none where it is empty. */
export function variable(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === '' ? undefined : value;
}

/** The names that {@link Environment} declares; none of them is another name of a flag. */
const DECLARED: Readonly<Record<keyof Environment & `SPARSYNC_${string}`, true>> = {
  SPARSYNC_CONFIG_DIR: true,
  SPARSYNC_STATE_DIR: true,
  SPARSYNC_BATCH_WRITE_CONCURRENCY: true,
  SPARSYNC_GUARDS: true,
  SPARSYNC_PROFILE: true,
  SPARSYNC_CREDENTIAL: true,
  SPARSYNC_CONFIG: true,
  SPARSYNC_INVITATION: true,
};

/**
 * What Kubernetes and links of containers add where a service is called sparsync: `SPARSYNC_PORT` would be a setting, and
 * the others misspelt ones.
 */
const SERVICE_NAME = /_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)$/;
const SERVICE_ADDRESS = /^(?:tcp|udp|sctp):\/\//;

/** The variables that have settings for the command, one for each flag, and those that are misspelt. */
export function settingVariables(): string[] {
  return Object.keys(process.env).filter((name) => {
    // Those of this package's tests are for them alone.
    if (!name.startsWith('SPARSYNC_') || name.startsWith('SPARSYNC_TEST_') || Object.hasOwn(DECLARED, name))
      return false;
    const value = variable(name);
    if (value === undefined || SERVICE_NAME.test(name)) return false;
    return !(name.endsWith('_PORT') && SERVICE_ADDRESS.test(value));
  });
}

/** The names of the variables that are no other names of flags. */
export function declaredVariables(): string[] {
  return Object.keys(DECLARED);
}

/**
 * The environment for a program that is started: it has no use for this client's secrets. The native core leaves the same ones out
 * (crate/core/src/net/pipe/command.rs).
 */
export function withoutSecrets(): NodeJS.ProcessEnv {
  const { SPARSYNC_CREDENTIAL: _, SPARSYNC_INVITATION: __, ...rest } = process.env;
  return rest;
}

/** The credential in the environment, a secret, or the one that a system manager hands over (`sparsync-credential`). */
export function credentialText(): string | undefined {
  const own = variable('SPARSYNC_CREDENTIAL');
  if (own !== undefined) return own;
  const path = handedOver('sparsync-credential');
  return path === undefined ? undefined : readFileSync(path, 'utf8');
}

/** The file of a secret that systemd hands to a service (`LoadCredential=`). */
function handedOver(name: string): string | undefined {
  const folder = variable('CREDENTIALS_DIRECTORY');
  const path = folder === undefined ? undefined : join(folder, name);
  return path !== undefined && mayBeThere(path) ? path : undefined;
}

/** What cannot be looked at is read all the same: its owner must learn why, and not get another key. */
function mayBeThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}

/** The file of settings that the environment names. */
export function wantedConfigFile(): string | undefined {
  return variable('SPARSYNC_CONFIG');
}

/** Whether the environment asks for profiles. */
export function wantsProfile(): boolean {
  const value = variable('SPARSYNC_PROFILE');
  return value !== undefined && value !== '0';
}

/** Whether the environment lifts the guards against deleting by accident. */
export function liftsGuards(): boolean {
  const value = variable('SPARSYNC_GUARDS') ?? 'on';
  if (value === 'on' || value === 'off') return value === 'off';
  // A misspelt word must neither disable a guard nor leave it in the way of a script.
  throw new ConfigError(`SPARSYNC_GUARDS must be on or off, not ${JSON.stringify(value)}`);
}

/** The most lanes of a run. */
export const LANES_MAX = 4;

/** The lanes that the environment sets; `undefined` if it leaves them to the machine. */
export function wantedLanes(): number | undefined {
  const value = variable('SPARSYNC_BATCH_WRITE_CONCURRENCY');
  if (value === undefined) return undefined;
  const lanes = Number(value);
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > LANES_MAX) {
    throw new ConfigError(
      `SPARSYNC_BATCH_WRITE_CONCURRENCY must be a whole number from 1 to ${LANES_MAX}, not ${JSON.stringify(value)}`,
    );
  }
  return lanes;
}

/**
 * The folder of this user's key and trust files: `$SPARSYNC_CONFIG_DIR`, else `$XDG_CONFIG_HOME/sparsync`, else
 * `~/.config/sparsync`. It is not created here.
 */
export function configDirectory(): string {
  const own = variable('SPARSYNC_CONFIG_DIR');
  if (own !== undefined) return own;
  const xdg = variable('XDG_CONFIG_HOME');
  // The XDG specification says that relative values are invalid and must be ignored.
  if (xdg !== undefined && xdg.startsWith('/')) return join(xdg, 'sparsync');
  return join(homeDirectory(), '.config', 'sparsync');
}

/** A hint for a user without a configuration folder. */
const WITHOUT_HOME =
  'this user has no home folder: set SPARSYNC_CONFIG_DIR, or name the files with ' +
  '--identity and --known-hosts or --pin (identity and trust in a program)';

function homeDirectory(): string {
  // If the variable is set, the system's own answer would be the same.
  const set = variable('HOME');
  if (set !== undefined) return set;
  let home: string;
  try {
    home = builtin('node:os').homedir();
  } catch (cause) {
    // A user without an entry in the list of users has no home folder: this is usual in a container.
    throw new ConfigError(WITHOUT_HOME, { cause });
  }
  if (home === '') throw new ConfigError(WITHOUT_HOME);
  return home;
}

/**
 * The folder of what runs remember, where the native core has it: `$SPARSYNC_STATE_DIR`, else
 * `$XDG_STATE_HOME/sparsync`, else `~/.local/state/sparsync`. None when none of them is set.
 */
export function stateDirectory(): string | undefined {
  const own = variable('SPARSYNC_STATE_DIR');
  if (own !== undefined) return own;
  const xdg = variable('XDG_STATE_HOME');
  if (xdg !== undefined) return join(xdg, 'sparsync');
  const home = variable('HOME');
  return home === undefined ? undefined : join(home, '.local', 'state', 'sparsync');
}

/** This machine's private key, made on first use, or the one that a system manager hands over (`sparsync-key`). */
export function defaultKeyPath(): string {
  return handedOver('sparsync-key') ?? join(configDirectory(), 'key.pem');
}

/** The pinned keys of servers. */
export function defaultKnownHostsPath(): string {
  return join(configDirectory(), 'known_hosts');
}

/** The keys that a server started from the command line lets in, with their scopes. */
export function defaultAuthorizedKeysPath(): string {
  return join(configDirectory(), 'authorized_keys');
}
