import { checkOptions, extend, flag, group, instance, integer, listOf, oneOf, secret, text, without } from './check.js';
import type { Check, Checked, Checks } from './check.js';
import { ConfigError } from './errors.js';
import { ruleOf } from './filter.js';
import { ownerAndGroup, ownersOf } from './owners.js';
import { CONGESTIONS } from './congestion.js';
import { TRANSPORT_CHOICES } from './transports.js';
import type { TransportChoice } from './transports.js';
import type { Congestion } from './congestion.js';
import type {
  ConnectOptions,
  EventOptions,
  IdentityOptions,
  PlanOptions,
  RetryOptions,
  SyncOptions,
  TransferOptions,
  TrustOptions,
  VerifyOptions,
} from './options.js';
import { loggerCheck } from './logger.js';
import type { Logger } from './logger.js';
import { READ_ONLY } from './request.js';
import { absolute, pathOf, pathOption } from './paths.js';
import type { PathLike } from './paths.js';
import { recordOf } from './record.js';
import type { Bootstrap } from './remote-program.js';
import type { PlatformAbortSignal } from './platform.js';
import { NOT_IN_PLAN, NOT_IN_VERIFY, TRANSFER_CHECKS } from './transfer.js';
import { engineOptions, STANDARD } from './engine-options.js';
import type { EngineOptions } from './engine-options.js';
import { listedPaths } from './selection.js';
import type { Listed } from './selection.js';

/** The limits of retrying, complete. */
export interface RetryPolicy {
  readonly attempts: number;
  readonly deadlineMs: number;
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
}

/** Connect options that were checked, with their defaults except for paths. */
export interface ConnectSettings {
  readonly identity: IdentityOptions;
  readonly trust: Omit<TrustOptions, 'pin'> & { readonly pin: readonly string[] };
  /** Nothing where it was not given. */
  readonly connectTimeoutMs: number | undefined;
  readonly idleTimeoutMs: number;
  readonly initialMtu: number;
  readonly congestion: Congestion;
  readonly transport: TransportChoice;
  readonly family: 4 | 6 | undefined;
  readonly localAddress: string | undefined;
  readonly quicPorts: string | undefined;
  readonly rsh: string | readonly string[] | undefined;
  readonly remotePath: string | undefined;
  readonly bootstrap: Bootstrap | undefined;
  readonly commandStderr: 'ignore' | 'inherit';
  readonly logger: Logger | undefined;
}

/** Transfer options that were checked, with their defaults. */
export type TransferSettings = Readonly<Transfer>;

/** Settings that are still changed. */
interface Transfer extends EngineOptions {
  into: boolean;
  relative: boolean;
  impliedDirs: boolean;
  filesFrom: readonly Listed[] | undefined;
  items: boolean | undefined;
  filterEvents: boolean;
  whenFull: 'drop' | 'wait';
  retry: RetryPolicy;
  stopAt: Date | undefined;
  savePlan: string | undefined;
  applyPlan: string | undefined;
  /** The file that is written, or read in place of a source. */
  batch: BatchUse | undefined;
  signal: PlatformAbortSignal | undefined;
}

/** A file that a batch is written to or read from. */
export interface BatchUse {
  readonly use: 'writeBatch' | 'onlyWriteBatch' | 'readBatch';
  readonly file: Uint8Array;
}

/** The options that compare with other directories. A run has one of them at most. */
const BASES = ['compareDest', 'copyDest', 'linkDest', 'reflinkDest'] as const;

/** After how long without a packet a connection is lost, in milliseconds, unless it is given. */
export const IDLE_TIMEOUT_MS = 30_000;

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const KEY = /^ed25519:[A-Za-z0-9+/]{43}=?$/;

/** A public key as it is written everywhere. */
export const publicKey: Check<string> = instance<string>(
  (value): value is string => typeof value === 'string' && KEY.test(value),
  'a public key (ed25519: and 43 characters of base64)',
);

const pem = instance<string>(
  (value): value is string => typeof value === 'string' && value.includes('-----BEGIN '),
  'PEM text (with a line "-----BEGIN …")',
);

/** Checks of {@link IdentityOptions}. */
export const IDENTITY_CHECKS: Checks<IdentityOptions> = {
  keyPath: text('the path of a key file'),
  key: secret(/-----BEGIN /, 'PEM text (with a line "-----BEGIN …")'),
  cert: pem,
};

const TRUST_CHECKS: Checks<TrustOptions> = {
  pin: listOf(publicKey),
  knownHosts: text('the path of a file'),
  firstUse: oneOf('refuse', 'accept'),
  ca: pem,
};

const RETRY_CHECKS: Checks<RetryOptions> = {
  attempts: integer(0, 1_000_000, 'attempts'),
  deadlineMs: integer(0, Number.MAX_SAFE_INTEGER, 'milliseconds'),
  baseDelayMs: integer(0, HOUR_MS, 'milliseconds'),
  maxDelayMs: integer(0, DAY_MS, 'milliseconds'),
};

const EVENT_CHECKS: Checks<EventOptions> = { items: flag, filter: flag, whenFull: oneOf('drop', 'wait') };

const word = text('a text');

/** A command as one text or in words. */
function commandWords(value: unknown, name: string): string | string[] {
  if (!Array.isArray(value)) return word(value, name);
  if (value.length === 0) throw new ConfigError(`${name} is empty: its first word must be a program`);
  return listOf(word)(value, name);
}

/** Checks of {@link ConnectOptions}. */
export const CONNECT_CHECKS: Checks<ConnectOptions> = {
  identity: group(IDENTITY_CHECKS),
  trust: group(TRUST_CHECKS),
  connectTimeoutMs: integer(1, HOUR_MS, 'milliseconds'),
  idleTimeoutMs: integer(100, HOUR_MS, 'milliseconds'),
  initialMtu: (value, name) => (value === 0 ? 0 : integer(1200, 6500, 'bytes (or 0 for automatic)')(value, name)),
  congestion: oneOf(...CONGESTIONS),
  transport: oneOf(...TRANSPORT_CHOICES),
  family: instance<4 | 6>((value): value is 4 | 6 => value === 4 || value === 6, '4 or 6'),
  localAddress: word,
  quicPorts: word,
  rsh: commandWords,
  remotePath: word,
  bootstrap: (value: unknown, name: string) => (value === 'temp' ? 'temp' : flag(value, name)),
  commandStderr: oneOf('ignore', 'inherit'),
  logger: loggerCheck,
};

const planFile = text('the path of a file');

const SYNC_CHECKS: Checks<TransferOptions> = extend(TRANSFER_CHECKS, {
  chown: ownerAndGroup,
  into: flag,
  relative: flag,
  impliedDirs: flag,
  filesFrom: instance<readonly PathLike[]>(
    (value): value is readonly PathLike[] => Array.isArray(value),
    'an array of paths',
  ),
  savePlan: planFile,
  applyPlan: planFile,
  writeBatch: pathOption,
  onlyWriteBatch: pathOption,
  readBatch: pathOption,
  events: group(EVENT_CHECKS),
  retry: (value: unknown, name: string) => {
    if (value === false) return false;
    return typeof value === 'number'
      ? integer(0, 1_000_000, 'attempts')(value, name)
      : group(RETRY_CHECKS)(value, name);
  },
  stopAt: instance<Date>((value): value is Date => value instanceof Date && !Number.isNaN(value.getTime()), 'a Date'),
  signal: instance<AbortSignal>((value): value is AbortSignal => value instanceof AbortSignal, 'an AbortSignal'),
});

/** Checks the options of `connect`. */
export function connectSettings(options: unknown): ConnectSettings {
  return connectDefaults(checkOptions<ConnectOptions>(options, CONNECT_CHECKS, 'options'));
}

/** Checks the options of a transfer over a connection that stands. */
export function transferSettings(options: unknown): TransferSettings {
  return transferDefaults(checkOptions<TransferOptions>(options, SYNC_CHECKS, 'options'));
}

/** Checks the options of `sync`, `plan` and `verify`. */
export function syncSettings(options: unknown): { connect: ConnectSettings; transfer: TransferSettings } {
  const given = checkOptions<SyncOptions>(options, extend(SYNC_CHECKS, CONNECT_CHECKS), 'options');
  return { connect: connectDefaults(given), transfer: transferDefaults(given) };
}

function connectDefaults(given: Checked<ConnectOptions>): ConnectSettings {
  const identity = given.identity ?? {};
  if (identity.key !== undefined && identity.keyPath !== undefined) {
    throw new ConfigError('options identity.key and identity.keyPath cannot be combined: give one of them');
  }
  const trust = given.trust ?? {};
  const pins = trust.pin ?? [];
  return {
    identity,
    trust: { ...trust, pin: typeof pins === 'string' ? [pins] : pins },
    connectTimeoutMs: given.connectTimeoutMs,
    idleTimeoutMs: given.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    initialMtu: given.initialMtu ?? 0,
    congestion: given.congestion ?? 'auto',
    transport: given.transport ?? 'auto',
    family: given.family,
    localAddress: given.localAddress,
    quicPorts: given.quicPorts,
    rsh: given.rsh,
    remotePath: given.remotePath,
    bootstrap: given.bootstrap,
    commandStderr: given.commandStderr ?? 'ignore',
    logger: given.logger,
  };
}

/**
 * The settings of a call without options. An option whose name is here is taken over as it was given, if `transferDefaults` does
 * not replace it.
 */
const TRANSFER_STANDARD: Readonly<Transfer> = {
  ...STANDARD,
  into: false,
  relative: false,
  impliedDirs: true,
  filesFrom: undefined,
  items: undefined,
  filterEvents: false,
  whenFull: 'drop',
  retry: retryPolicy(false),
  stopAt: undefined,
  savePlan: undefined,
  applyPlan: undefined,
  batch: undefined,
  signal: undefined,
};

function transferDefaults(given: Checked<TransferOptions>): TransferSettings {
  const settings = engineOptions(TRANSFER_STANDARD, given);
  addImplied(settings, given);
  checkTogether(settings, given);
  if (settings.suffix === '') settings.suffix = undefined;
  mapOwners(settings, given);
  // A batch has the paths under which its entries arrive.
  settings.relative = given.readBatch === undefined && (given.relative ?? given.filesFrom !== undefined);
  if (given.filesFrom !== undefined) settings.filesFrom = listedPaths(given.filesFrom, settings.relative);
  if (given.events !== undefined) {
    settings.items = given.events.items;
    settings.filterEvents = given.events.filter ?? false;
    settings.whenFull = given.events.whenFull ?? 'drop';
  }
  if (given.retry !== undefined) settings.retry = retryPolicy(given.retry);
  settings.batch = batchOf(given);
  return settings;
}

/** Adds what options stand for besides themselves. */
function addImplied(engine: EngineOptions, given: Checked<TransferOptions>): void {
  engine.inplace ||= engine.writeDevices;
  if (given.deleteExcluded === true) {
    engine.delete = true;
    engine.filter = engine.filter.map((rule) => ({ ...rule, senderOnly: true }));
  }
  engine.delete ||= engine.deleteAfter;
  engine.backup ||= engine.backupDir.length > 0;
  // As with rsync: a directory in which a backup is made would get a new time, and then the old one again, at each run.
  engine.omitDirTimes ||= engine.backup && engine.backupDir.length === 0;
  const previous = given.snapshot?.previous;
  if (previous !== undefined && previous !== false) {
    const like = given.snapshot?.reflink === true ? 'reflinkDest' : 'linkDest';
    if (engine[like].length > 0) throw excluding('snapshot.previous', like);
    engine[like] = [pathOf(previous)];
  }
  if (BASES.some((name) => engine[name].length > 0)) engine.snapshot = { ...engine.snapshot, linksNewest: false };
  if (engine.partialDir.length > 0) {
    engine.partial = true;
    if (engine.partialDir[0] !== 0x2f) {
      // As with rsync what is kept there is no part of the tree.
      const text = Buffer.concat([Buffer.from('-p '), engine.partialDir, Buffer.from('/')]);
      engine.filter = [...engine.filter, ruleOf(text)];
    }
  }
}

/** An option that is on or off. */
type Switch = {
  [Name in keyof EngineOptions]-?: EngineOptions[Name] extends boolean ? Name : never;
}[keyof EngineOptions];

/** Whether a run asks for something. */
type Asked = (engine: EngineOptions, given: Checked<TransferOptions>) => boolean;

/**
 * An option, whether a run asks for it, the options that it cannot be combined with where they are asked for, and why. A run that
 * asks for one of the first kind is given an option of the table, if by another one that implies it.
 */
type Exclusion = readonly [
  option: keyof TransferOptions,
  isAsked: Asked,
  others: Readonly<Record<string, Asked>>,
  why?: string,
];

const on =
  (name: Switch): Asked =>
  (engine) =>
    engine[name];
const isGiven =
  (name: keyof TransferOptions): Asked =>
  (_, given) =>
    given[name] !== undefined;
const hasPaths =
  (name: (typeof BASES)[number] | 'partialDir'): Asked =>
  (engine) =>
    engine[name].length > 0;

const publish = on('publish');
const removeSourceFiles = on('removeSourceFiles');
const partialDir = hasPaths('partialDir');
const snapshot: Asked = (engine) => engine.snapshot.isAsked;
const savePlan = isGiven('savePlan');
const applyPlan = isGiven('applyPlan');
const onlyWriteBatch = isGiven('onlyWriteBatch');
const readBatch = isGiven('readBatch');
// A second attempt would see the work of the first, or find another tree than the plan.
const retry: Asked = (_, given) => given.retry !== undefined && retryPolicy(given.retry).attempts > 0;
const notInPlace = { delayUpdates: on('delayUpdates'), partialDir };
const batched = { savePlan, applyPlan, retry, removeSourceFiles };

/** The options that cannot be combined. They are looked at in this order. */
const EXCLUSIONS: readonly Exclusion[] = [
  ['detectRenames', on('detectRenames'), { publish, snapshot }, 'nothing is deleted in a tree that is new'],
  ...BASES.map((name, at): Exclusion => [name, hasPaths(name), recordOf(BASES.slice(at + 1), hasPaths)]),
  ['inplace', on('inplace'), notInPlace],
  ['append', on('append'), notInPlace],
  ['append', on('append'), { wholeFile: (_, given) => given.wholeFile === true }, 'what is there is not sent'],
  ['writeDevices', on('writeDevices'), { 'inplace: false': (_, given) => given.inplace === false }],
  ['writeDevices', on('writeDevices'), { backup: on('backup') }, 'the content of a device is not kept'],
  ['preallocate', on('preallocate'), { sparse: on('sparse') }],
  // A plan does not have trees that are made beside the destination.
  ['savePlan', savePlan, { applyPlan, publish, snapshot, retry }],
  ['applyPlan', applyPlan, { publish, snapshot, retry }],
  ['writeBatch', isGiven('writeBatch'), { onlyWriteBatch, readBatch, ...batched }],
  ['onlyWriteBatch', onlyWriteBatch, { readBatch, ...batched }],
  [
    'readBatch',
    readBatch,
    {
      ...batched,
      // A batch has the rules and paths of the run that wrote it.
      filesFrom: isGiven('filesFrom'),
      filter: (_, given) => (given.filter ?? []).length > 0,
      gitignore: (_, given) => given.gitignore === true,
      partialDir,
    },
  ],
  ['chown', (_, { chown = '' }) => ownersOf(chown).user !== undefined, { usermap: isGiven('usermap') }],
  ['chown', (_, { chown = '' }) => ownersOf(chown).group !== undefined, { groupmap: isGiven('groupmap') }],
];

/** The options that exclude others. Most runs are given none of them, and nothing is looked at. */
const EXCLUDING: ReadonlySet<string> = new Set(EXCLUSIONS.map(([option]) => option));

function excluding(option: string, other: string, why?: string): ConfigError {
  const reason = why === undefined ? '' : `: ${why}`;
  return new ConfigError(`options ${option} and ${other} cannot be combined${reason}`, { details: { option } });
}

/** Rejects options that cannot be combined, or need one that is not there. */
function checkTogether(engine: EngineOptions, given: Checked<TransferOptions>): void {
  if (Object.keys(given).some((name) => EXCLUDING.has(name))) checkExclusions(engine, given);
  if (engine.detectRenames && !engine.delete) {
    throw new ConfigError('option detectRenames needs delete: without it nothing loses its old name', {
      details: { option: 'detectRenames' },
    });
  }
  if (engine.suffix === '' && engine.backupDir.length === 0) {
    throw new ConfigError('option suffix cannot be empty without backupDir', { details: { option: 'suffix' } });
  }
}

function checkExclusions(engine: EngineOptions, given: Checked<TransferOptions>): void {
  for (const [option, isAsked, others, why] of EXCLUSIONS) {
    if (!isAsked(engine, given)) continue;
    const other = Object.keys(others).find((name) => others[name]?.(engine, given));
    if (other !== undefined) throw excluding(option, other, why);
  }
}

/** What a run has of a batch. */
function batchOf(given: Checked<TransferOptions>): BatchUse | undefined {
  for (const use of ['writeBatch', 'onlyWriteBatch', 'readBatch'] as const) {
    const file = given[use];
    if (file !== undefined) return { use, file: absolute(pathOf(file)) };
  }
  return undefined;
}

/** A single owner for all files is a rule for all of them, which needs owners to be carried. */
function mapOwners(engine: EngineOptions, { chown, owner, group: carriesGroup }: Checked<TransferOptions>): void {
  const { user, group } = chown === undefined ? {} : ownersOf(chown);
  if (user !== undefined) engine.usermap = `*:${user}`;
  if (group !== undefined) engine.groupmap = `*:${group}`;
  engine.owner = owner ?? engine.usermap !== undefined;
  engine.group = carriesGroup ?? engine.groupmap !== undefined;
}

function retryPolicy(retry: number | false | RetryOptions): RetryPolicy {
  const given = typeof retry === 'object' ? retry : { attempts: retry === false ? 0 : retry };
  return {
    attempts: given.attempts ?? 5,
    deadlineMs: given.deadlineMs ?? Number.POSITIVE_INFINITY,
    baseDelayMs: given.baseDelayMs ?? 500,
    maxDelayMs: given.maxDelayMs ?? 30_000,
  };
}

/** Checks the options of `plan`. */
export function planSettings(options: unknown): { connect: ConnectSettings; transfer: TransferSettings } {
  const checks: Checks<PlanOptions> = without(extend(SYNC_CHECKS, CONNECT_CHECKS), NOT_IN_PLAN);
  const given = checkOptions<PlanOptions>(options, checks, 'options');
  return { connect: connectDefaults(given), transfer: { ...transferDefaults(given), ...READ_ONLY } };
}

/** Checks the options of `verify`. */
export function verifySettings(options: unknown): { connect: ConnectSettings; transfer: TransferSettings } {
  const checks: Checks<VerifyOptions> = without(extend(SYNC_CHECKS, CONNECT_CHECKS), NOT_IN_VERIFY);
  const given = checkOptions<VerifyOptions>(options, checks, 'options');
  return {
    connect: connectDefaults(given),
    transfer: {
      ...transferDefaults(given),
      ...READ_ONLY,
      compare: 'content',
      // This shows extra paths. Nothing is deleted, so no guard is needed.
      delete: true,
      allowMassDelete: true,
    },
  };
}

/** Checks the options of a plan over a connection that stands. */
export function planTransferSettings(options: unknown): TransferSettings {
  const checks: Checks<Omit<PlanOptions, keyof ConnectOptions>> = without(SYNC_CHECKS, NOT_IN_PLAN);
  const given = checkOptions<Omit<PlanOptions, keyof ConnectOptions>>(options, checks, 'options');
  return { ...transferDefaults(given), ...READ_ONLY };
}
