import { existsSync } from 'node:fs';
import type { Server as HttpServer } from 'node:http';

import { defaultAuthorizedKeysPath, settingVariables, variable } from '../config.js';
import { CONGESTIONS } from '../congestion.js';
import { ConfigError, fromNative } from '../errors.js';
import { GRACE_MS, serveLogged } from '../server.js';
import type { Server } from '../server.js';
import { LIMITS, limitsFrom, versionsBeside } from '../server-options.js';
import type { Limits, RootOptions, ServeOptions } from '../server-options.js';
import { namedFiles } from '../named-files.js';
import { loadNative } from '../native.js';
import { absolute, pathBytes, textOf } from '../paths.js';
import type { PathLike } from '../paths.js';
import type { ProfileRecord } from '../profile.js';
import { DEFAULT_PORT } from '../target.js';
import { DURABILITIES } from '../words.js';
import { announce, ownKey } from './announce.js';
import { configuredFlags } from './configured.js';
import { identityOption, pemFile } from './connecting.js';
import { EXIT } from './exit-codes.js';
import { millisecondsOf, rateOf, sizeOf } from './flag-values.js';
import { SERVE_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { print } from './output.js';
import { PidFile, refuseRunning } from '../pid-file.js';
import { ProfileFile } from './profile-file.js';
import { printError } from './report.js';
import type { ParsedFlags, Word } from './parse.js';
import { LOG_FORMATS, ServerLog } from './server-log.js';
import type { LogOptions } from './server-log.js';
import { SERVER_SIGNALS, onSignals } from './signals.js';
import type { Interrupted } from './signals.js';
import { safe } from './names.js';

const PURPOSE = `Serves folders to the clients whose keys are allowed, until SIGINT or SIGTERM: these let transfers finish, or roll them
back. SIGHUP reads keys and settings again and reopens the log file. "sparsync keys" shows a client's key.

The log goes to stderr or --log-file. It has a line for each transfer (who, from where, what, how much was written and
deleted, how it ended), for each refusal with its reason, and for keys that cannot be read. -v also logs connections and
requests for lists and metadata; -q logs only refusals and errors.

LINE is a line of authorized_keys:
  NAME KEY [root=ROOT[/PREFIX]]... [allow=RIGHT,...] [quota=BYTES] [entries=NUM] [expires=2027-01-31[T18:30:00Z]]
The default of root= is all roots, that of allow= is read, write and delete. Rights are read, write, append (new names
only), delete, owner, special, xattrs and acls. Blanks and bytes that are not UTF-8 are percent-encoded.

example: sparsync serve --root backup=/srv/backup --allow "laptop ed25519:… root=backup/laptop allow=read,write,delete"`;

/** `sparsync serve`. */
export async function serveCommand(words: readonly Word[]): Promise<number> {
  const flags = await serverFlags(words);
  if (flags.on('help')) {
    await print(verbHelp('serve --root NAME=PATH [--allow LINE]... [OPTIONS]', PURPOSE, SERVE_FLAGS));
    return EXIT.ok;
  }
  if (flags.operands.length > 0)
    throw new ConfigError('serve takes no operands: a folder is offered by --root NAME=PATH');
  const logged = logOptions(flags);
  if (flags.on('print-unit')) {
    await print(await unitOf(words, serveOptions(flags), flags, graceOf(flags)));
    return EXIT.ok;
  }
  return runServer(words, flags, logged);
}

/** Serves until a signal ends it. */
async function runServer(words: readonly Word[], flags: ParsedFlags, logged: LogOptions): Promise<number> {
  let graceMs = graceOf(flags);
  const options = serveOptions(flags);
  const files = await namedFiles();
  const profiles = new ProfileFile(flags.text('profile'), files.openLog);
  const profile = profiles.isWanted ? (record: ProfileRecord): void => profiles.add(record) : undefined;
  const log = new ServerLog(logged, files.openLog, await loadNative());
  const metricsAt = flags.text('metrics');
  const pidPath = flags.text('pid-file');
  if (pidPath !== undefined) refuseRunning(pidPath, files);
  const key = ownKey(options.identity);
  const server = await serveLogged({ ...options, profile, metrics: metricsAt !== undefined }, log);
  log.onLost(() => server.logLost());
  const close = ({ signal }: Interrupted): void => {
    const sessions = server.stats()['sessions_active'] ?? 0;
    // An error of closing is also the rejection of `closed` below.
    server.close({ graceMs }).catch(() => undefined);
    tellManager('STOPPING=1');
    log.add({ type: 'closing', signal, sessions, graceMs });
  };
  let pidFile: PidFile | undefined;
  const onHangup = (): void =>
    void reload(server, log, { words, flags }, (fresh, graceIs) => {
      graceMs = graceIs;
      orTold(() => pidFile?.update({ graceMs, logFile: fresh.text('log-file') }));
    });
  const removeHandlers = onSignals(EXIT.interrupted, close, SERVER_SIGNALS);
  process.on('SIGHUP', onHangup);
  process.on('SIGUSR1', nothing);
  let metrics: HttpServer | undefined;
  try {
    const { address, publicKey } = server;
    const roots = Object.keys(options.roots);
    if (pidPath !== undefined) {
      pidFile = new PidFile(pidPath, files, { address, publicKey, roots, graceMs, logFile: flags.text('log-file') });
    }
    // On stderr it would repeat the line of stdout.
    if (log.isFile) log.add({ type: 'listening', address, publicKey, roots });
    metrics =
      metricsAt === undefined ? undefined : await (await import('./metrics-server.js')).serveMetrics(metricsAt, server);
    await announce(server, options, key, flags);
    tellManager('READY=1');
    await server.closed();
    log.add({ type: 'closed' });
    return EXIT.ok;
  } finally {
    removeHandlers();
    process.off('SIGHUP', onHangup);
    process.off('SIGUSR1', nothing);
    metrics?.close();
    orTold(() => pidFile?.remove());
  }
}

/** Reads flags and settings again, puts in force what can change while the server runs, and reads the keys anew. */
async function reload(
  server: Server,
  log: ServerLog,
  { words, flags }: { words: readonly Word[]; flags: ParsedFlags },
  follow: (fresh: ParsedFlags, graceMs: number) => void,
): Promise<void> {
  tellManager(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  // What has happened belongs into the file that was there then.
  server.tellNow();
  try {
    const fresh = await serverFlags(words);
    const [logged, graceMs] = [logOptions(fresh), graceOf(fresh)];
    server.change({ allow: fresh.all('allow'), ...limitsOf(fresh) });
    // What is told of a reload belongs into the file that is there from now on.
    log.reopen(logged);
    follow(fresh, graceMs);
    const restart = SERVE_FLAGS.map(({ name }) => name).filter(
      (name) => !LIVE.includes(name) && differ(flags, fresh, name),
    );
    log.add({ type: 'reload', ...(restart.length === 0 ? {} : { restart }) });
  } catch (thrown) {
    const { code, message } = fromNative(thrown);
    log.reopen();
    log.add({ type: 'config-unreadable', code, message });
  }
  server.reload();
  tellManager('READY=1');
}

/** Some programs open their logs again at SIGUSR1. For those that try that here, it must not end the server. */
function nothing(): void {
  // There is nothing to do.
}

/** Does what the server goes on without. */
function orTold(work: () => void): void {
  try {
    work();
  } catch (error) {
    printError(error);
  }
}

/** Settings that a reload applies; the others are read at the next start. */
const LIVE: readonly string[] = [
  'quiet',
  'verbose',
  'log-file',
  'log-format',
  'grace',
  'allow',
  ...Object.keys(LIMITS).map(flagOf),
];

function serverFlags(words: readonly Word[]): Promise<ParsedFlags> {
  return configuredFlags(SERVE_FLAGS, words, { tables: { server: SERVE_FLAGS } });
}

/** The flag of an option. */
function flagOf(option: string): string {
  return option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function limitsOf(flags: ParsedFlags): Limits {
  return limitsFrom((name) => {
    const flag = flagOf(name);
    if (name === 'bwlimit' || name === 'bwlimitPerKey') return rateOf(flags, flag);
    return name === 'maxUnreadBytes' || name === 'reserveSpace' ? sizeOf(flags, flag) : flags.number(flag, 1);
  });
}

function graceOf(flags: ParsedFlags): number {
  const seconds = flags.number('grace');
  return seconds === undefined ? GRACE_MS : seconds * 1000;
}

function logOptions(flags: ParsedFlags): LogOptions {
  const least = flags.on('quiet') ? 'warn' : flags.on('verbose') ? 'debug' : 'info';
  return { path: flags.text('log-file'), format: flags.choice('log-format', LOG_FORMATS) ?? 'text', least };
}

/** Whether two command lines give a flag different values. */
function differ(one: ParsedFlags, other: ParsedFlags, name: string): boolean {
  const said = (flags: ParsedFlags): string => JSON.stringify([flags.given(name), flags.words(name).map(textOf)]);
  return said(one) !== said(other);
}

/** Tells systemd, when that has started this. */
function tellManager(state: string): void {
  const socket = variable('NOTIFY_SOCKET');
  if (socket === undefined) return;
  loadNative()
    .then((native) => native.notifyManager(socket, state))
    .catch((error: unknown) => printError(error));
}

async function unitOf(
  words: readonly Word[],
  { roots: offered, identity }: FlaggedOptions,
  flags: ParsedFlags,
  graceMs: number,
): Promise<string> {
  const { unitText } = await import('./unit.js');
  const folder = (path: PathLike): string => textOf(absolute(pathBytes(path, 'a root')));
  const roots = Object.values(offered).flatMap(({ path, versions }) => {
    const beside = versions === true ? versionsBeside(absolute(pathBytes(path, 'a root'))) : versions;
    return beside === undefined ? [folder(path)] : [folder(path), folder(beside)];
  });
  const keyFile = identity !== undefined && 'keyPath' in identity ? identity.keyPath : undefined;
  const named = keyFile === undefined ? undefined : folder(keyFile);
  // The unit names the key itself, or has it handed over.
  const isOfKey = (at: number): boolean => /^--identity(?:=|$)/.test(textOf(words[at] ?? ''));
  const own = words.filter(
    (word, at) => textOf(word) !== '--print-unit' && !isOfKey(at) && textOf(words[at - 1] ?? '') !== '--identity',
  );
  const readOnly = flags.on('read-only');
  const written = ['log-file', 'pid-file', 'profile'].flatMap((name) => flags.text(name) ?? []).map(folder);
  const keys = flags.text('authorized-keys');
  const keysFile = keys === undefined ? undefined : folder(keys);
  const paths = [...Object.values(offered).map(({ path }) => path), ...PATH_FLAGS.flatMap((name) => flags.words(name))];
  const isRelative = paths.some((path) => !textOf(pathBytes(path, 'a path')).startsWith('/'));
  const workingFolder = isRelative ? process.cwd() : undefined;
  const variables = await unitVariables();
  return unitText({
    words: own,
    workingFolder,
    roots,
    readOnly,
    keyFile: named,
    keysFile,
    written,
    variables,
    graceMs,
  });
}

/** The flags whose values are paths of files, besides the roots. */
const PATH_FLAGS = ['log-file', 'pid-file', 'profile', 'authorized-keys', 'client-ca', 'config'] as const;

/** The settings of the environment that the unit is to have. The key is no setting here, either. */
async function unitVariables(): Promise<[string, string][]> {
  return settingVariables().length === 0 ? [] : (await import('./config-variables.js')).serverVariables(['identity']);
}

/** The options that flags ask for. */
type FlaggedOptions = ServeOptions & { readonly roots: Readonly<Record<string, RootOptions>> };

function serveOptions(flags: ParsedFlags): FlaggedOptions {
  const allow = flags.all('allow');
  const anonymous = flags.on('anonymous');
  const clientCa = pemFile(flags, 'client-ca');
  const authorizedKeysPath = flags.text('authorized-keys') ?? usualKeys(clientCa !== undefined);
  if (!anonymous && allow.length === 0 && authorizedKeysPath === undefined && clientCa === undefined) {
    throw new ConfigError('nobody could connect: give --allow "NAME KEY", --authorized-keys FILE or --client-ca FILE');
  }
  return {
    roots: Object.fromEntries(
      flags.words('root').map((word) =>
        parseRoot(word, {
          readOnly: flags.on('read-only'),
          fakeSuper: flags.on('fake-super'),
          exclude: flags.words('exclude'),
          mungeLinks: flags.on('munge-links'),
          versions: flags.words('versions').at(-1),
        }),
      ),
    ),
    listen: flags.text('listen') ?? `[::]:${DEFAULT_PORT}`,
    ...identityOption(flags),
    allow,
    authorizedKeysPath,
    clientCa,
    anonymous,
    durability: flags.choice('durability', DURABILITIES),
    ...limitsOf(flags),
    congestion: flags.choice('congestion', CONGESTIONS),
    tcp: !flags.on('no-tcp'),
    idleTimeoutMs: millisecondsOf(flags, 'idle-timeout', 1),
    refuse: flags.all('refuse'),
  };
}

/**
 * The file of clients that is used when none is named. It may be missing, since clients may be invited later; with a
 * private CA it counts only if it exists. Without a home folder there is none.
 */
function usualKeys(isOptional: boolean): string | undefined {
  try {
    const path = defaultAuthorizedKeysPath();
    return isOptional && !existsSync(path) ? undefined : path;
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

function parseRoot(
  word: Word,
  { versions, ...rest }: Omit<RootOptions, 'path' | 'versions'> & { versions: Word | undefined },
): [string, RootOptions] {
  const bytes = typeof word === 'string' ? Buffer.from(word) : Buffer.from(word);
  const equals = bytes.indexOf('=');
  if (equals < 1 || equals === bytes.length - 1) {
    throw new ConfigError(`--root must be NAME=PATH, not ${JSON.stringify(safe(textOf(bytes)))}`);
  }
  const name = bytes.subarray(0, equals);
  const below = versions === undefined ? undefined : Buffer.from(versions);
  const isNamed = below !== undefined && below.length > 0;
  const kept = isNamed ? Buffer.concat([below, Buffer.from('/'), name]) : below === undefined ? undefined : true;
  return [textOf(name), { path: bytes.subarray(equals + 1), versions: kept, ...rest }];
}
