import { accessSync, constants, existsSync, readFileSync, statSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';

import {
  configDirectory,
  credentialText,
  defaultAuthorizedKeysPath,
  defaultKeyPath,
  defaultKnownHostsPath,
  stateDirectory,
} from '../../config.js';
import { parseCredential } from '../../credential.js';
import { ConfigError, fromNative, messageOf } from '../../errors.js';
import { loadNative, platformTarget } from '../../native.js';
import type { ConnectOptions } from '../../options.js';
import { identity } from '../../trust.js';
import { packageVersion } from '../package.js';
import { size } from '../text.js';
import { well, wrong } from './finding.js';
import type { Finding } from './finding.js';

/** The time of the first release: a clock before it is wrong, and must not be used to judge certificates and pins. */
const EARLIEST_PLAUSIBLE = Date.UTC(2026, 0, 1);

/** A clock after this moment is wrong, too. */
const LATEST_PLAUSIBLE = Date.UTC(2100, 0, 1);

/**
 * With fewer open files than the first number no run works, which was tried; with fewer than the second a deep tree may
 * not.
 */
const FILES_LEAST = 32;
const FILES_ENOUGH = 256;

/** The size that a socket's buffer should have, and the size below which there is a warning. */
const BUFFER_BYTES = 4 << 20;
const BUFFER_BYTES_LEAST = 1 << 20;

/** Checks this machine. Without the native core nothing else can be checked. */
export async function* examineMachine(options: ConnectOptions): AsyncGenerator<Finding, boolean, undefined> {
  yield examineNode();
  const native = await examineNative();
  yield native;
  yield examineClock();
  if (native.state === 'problem') return false;
  yield await examineKey(options.identity ?? {});
  yield examineFile('known_hosts', () => options.trust?.knownHosts ?? defaultKnownHostsPath());
  yield examineFile('authorized_keys', defaultAuthorizedKeysPath);
  yield examineConfiguration();
  yield examineState();
  yield examineBuffers();
  yield examineFiles();
  yield examineSpace();
  return true;
}

function examineNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const supported = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
  const message = `Node.js ${process.versions.node}, ${platformTarget()}`;
  return supported ? well('node', message) : wrong('problem', 'node', message, 'install Node.js 20.19, 22.12 or newer');
}

async function examineNative(): Promise<Finding> {
  const check = 'native core';
  const expected = packageVersion();
  try {
    const version = (await loadNative()).coreVersion();
    if (version === expected) return well(check, `version ${version}`);
    const fix = 'reinstall the package, so that both have the same version: npm install sparsync-native';
    return wrong('problem', check, `version ${version}, but this package is ${expected}`, fix);
  } catch (error) {
    const { message, details } = fromNative(error);
    return wrong('problem', check, message, typeof details['fix'] === 'string' ? details['fix'] : undefined);
  }
}

function examineClock(): Finding {
  const now = new Date();
  const plausible = now.getTime() >= EARLIEST_PLAUSIBLE && now.getTime() < LATEST_PLAUSIBLE;
  if (plausible) return well('clock', now.toISOString());
  return wrong('problem', 'clock', now.toISOString(), 'set the clock: certificates and times of files depend on it');
}

async function examineKey({ key, keyPath }: NonNullable<ConnectOptions['identity']>): Promise<Finding> {
  const check = 'key';
  try {
    if (key !== undefined) return well(check, `${(await loadNative()).publicKeyOf(key)} (--identity)`);
    const credential = credentialText();
    if (keyPath === undefined && credential !== undefined) return await examineCredential(credential);
  } catch (error) {
    const fix = 'give a private key in PEM form, or the word that sparsync invite --credential printed';
    return wrong('problem', check, fromNative(error).message, fix);
  }
  const found = fileAt(check, () => keyPath ?? defaultKeyPath());
  return 'state' in found ? found : examineKeyFile(found);
}

async function examineCredential(text: string): Promise<Finding> {
  const { address, key, scope } = parseCredential(text);
  const message = `${(await loadNative()).publicKeyOf(key)} for ${address} (SPARSYNC_CREDENTIAL)`;
  const expires = /\bexpires=(\S+)/.exec(scope)?.[1];
  if (expires === undefined || new Date(expires) > new Date()) return well('key', message);
  const fix = 'have a new one issued by sparsync invite NAME --credential, or set the clock if that is wrong';
  return wrong('problem', 'key', `${message} has ended at ${expires}`, fix);
}

async function examineKeyFile({ path, mode }: FoundFile): Promise<Finding> {
  const check = 'key';
  if (mode === undefined) {
    const folder = dirname(path);
    if (canBeWritten(folder)) return well(check, `none yet in ${folder}; it is made on first use`);
    const fix =
      'set SPARSYNC_CONFIG_DIR to a folder that can be written, name a key file by --identity, or give SPARSYNC_CREDENTIAL';
    return wrong('problem', check, `none yet, and none can be made in ${folder}`, fix);
  }
  if ((mode & 0o077) !== 0) {
    const fix = `chmod 600 ${path}; if others could read it, delete it, so that a new one is made, and allow that one on the servers`;
    return wrong('problem', check, `${path} can be used by others (mode ${mode.toString(8)})`, fix);
  }
  try {
    return well(check, `${(await identity(path)).publicKey} (${path})`);
  } catch (error) {
    return wrong('problem', check, fromNative(error).message, `is ${path} an Ed25519 key in PEM form?`);
  }
}

/** Checks a file of keys that others should not be able to write. Runs do not refuse it for that. */
function examineFile(check: string, named: () => string): Finding {
  const found = fileAt(check, named);
  if ('state' in found) return found;
  const { path, mode } = found;
  if (mode === undefined) return well(check, `${path} is not there yet`);
  if ((mode & 0o022) === 0) return well(check, path);
  return wrong('warning', check, `${path} can be changed by others (mode ${mode.toString(8)})`, `chmod go-w ${path}`);
}

interface FoundFile {
  readonly path: string;
  /** None of a file that is not there. */
  readonly mode: number | undefined;
}

/** The file with its mode, or the finding that it cannot be read, or that its folder is not known. */
function fileAt(check: string, named: () => string): FoundFile | Finding {
  try {
    const path = named();
    const mode = statSync(path, { throwIfNoEntry: false })?.mode;
    return { path, mode: mode === undefined ? undefined : mode & 0o777 };
  } catch (error) {
    const message = messageOf(error);
    // A run works without a folder of keys if its flags name the files that it needs.
    if (error instanceof ConfigError) return wrong('warning', check, message);
    return wrong('problem', check, message, 'set SPARSYNC_CONFIG_DIR to a folder of your own');
  }
}

/** Runs do not have to write the folder of keys, once its files exist. */
function examineConfiguration(): Finding {
  const check = 'configuration';
  const fix = 'set SPARSYNC_CONFIG_DIR to a folder that can be written';
  try {
    const folder = configDirectory();
    if (canBeWritten(folder)) return well(check, folder);
    return wrong('warning', check, `${folder} cannot be written: no key of a server can be pinned there`, fix);
  } catch (error) {
    return wrong('warning', check, fromNative(error).message, fix);
  }
}

/** The state of runs only adds a guard, so runs work without it. */
function examineState(): Finding {
  const folder = stateDirectory();
  if (folder !== undefined && canBeWritten(folder)) return well('state', folder);
  const why = folder === undefined ? 'no folder is known' : `${folder} cannot be written`;
  return wrong(
    'warning',
    'state',
    `${why}: runs work, but do not notice when a mount point of the source has disappeared since the last run`,
    'set SPARSYNC_STATE_DIR to a folder that can be written',
  );
}

/** Whether a folder can be written, or be made below the nearest one that exists. */
export function canBeWritten(folder: string): boolean {
  const at = existingAbove(folder);
  try {
    accessSync(at, constants.W_OK | constants.X_OK);
    return statSync(at).isDirectory();
  } catch {
    return false;
  }
}

/** The path itself, or the nearest directory above it that exists. */
export function existingAbove(path: string): string {
  let at = path;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}

/**
 * Linux limits the buffers of sockets, unless the process may exceed the limit; in a namespace the limit may not be
 * visible.
 */
function examineBuffers(): Finding {
  const check = 'socket buffers';
  const [receive, send] = ['rmem_max', 'wmem_max'].map((name) => Number(readText(`/proc/sys/net/core/${name}`) ?? NaN));
  const least = Math.min(receive ?? NaN, send ?? NaN);
  if (Number.isNaN(least)) return well(check, 'the system does not tell its limit');
  const passes = hasNetAdmin() ? ', which this user may pass' : '';
  const message = `at most ${size(least, true)}${passes}`;
  if (least >= BUFFER_BYTES_LEAST || passes !== '') return well(check, message);
  const fix = `sysctl -w net.core.rmem_max=${BUFFER_BYTES} net.core.wmem_max=${BUFFER_BYTES}`;
  return wrong('warning', check, `${message}: packets get lost while this machine is busy`, fix);
}

function hasNetAdmin(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText('/proc/self/status') ?? '')?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> 12n) & 1n) === 1n;
}

function examineFiles(): Finding {
  const check = 'file limit';
  const limit = /^Max open files\s+(\S+)/m.exec(readText('/proc/self/limits') ?? '')?.[1];
  if (limit === undefined) return well(check, 'the system does not tell it');
  const message = `${limit} open files`;
  const files = limit === 'unlimited' ? Infinity : Number(limit);
  if (files >= FILES_ENOUGH) return well(check, message);
  return wrong(
    files < FILES_LEAST ? 'problem' : 'warning',
    check,
    `${message} may be too few for a run`,
    'ulimit -n 1024',
  );
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

/** What is left for what runs write for themselves. */
function examineSpace(): Finding {
  const folders = [stateDirectory()];
  try {
    folders.push(configDirectory());
  } catch {
    // There is none, which was told.
  }
  const known = folders.filter((folder) => folder !== undefined);
  const full = known.find((folder) => spaceFinding('free space', 'warning', folder).state !== 'ok');
  const shown = full ?? known[0];
  return shown === undefined ? well('free space', 'no folder needs any') : spaceFinding('free space', 'warning', shown);
}

/** The free space of the file system on which a path is, or would be. */
export function spaceFinding(check: string, state: 'warning' | 'problem', path: string): Finding {
  try {
    const { bavail, bsize, files, ffree } = statfsSync(existingAbove(path));
    const message = `${size(bavail * bsize, true)} for ${path}`;
    if (bavail > 0 && (files === 0 || ffree > 0)) return well(check, message);
    const what = bavail > 0 ? `no more entries can be made for ${path}` : message;
    return wrong(state, check, what, 'free space on that file system, or choose another');
  } catch (error) {
    return wrong('warning', check, messageOf(error));
  }
}
