import { captureCallSite } from './callsite.js';
import type { CallSite } from './callsite.js';
import { checkOptions, integer, isPlain } from './check.js';
import type { Checks } from './check.js';
import { ConfigError, ConnectionError, atCallSite, fromNative, makeError } from './errors.js';
import type { EntryKind, NextServerKey } from './events.js';
import { SyncJob } from './job.js';
import { Dial, closeQuietly, nextKeyOf, whileConnecting } from './link.js';
import type { Link, OpenLink } from './link.js';
import type { Logger } from './logger.js';
import type { NativeClient, NativeListEntry, NativeStat } from './native.js';
import { connectSettings, planTransferSettings, transferSettings } from './settings.js';
import type { ConnectOptions, PlanOptions, TransferOptions } from './options.js';
import type { ConnectSettings, TransferSettings } from './settings.js';
import { bytesOf, describe, eachSource, joinBytes, textOf } from './paths.js';
import type { PathLike, Sources } from './paths.js';
import { checkEnds, sourceOf } from './placement.js';
import type { Ends } from './placement.js';
import { Plan, prepared } from './plan.js';
import { taskOf } from './planning.js';
import type { Task } from './planning.js';
import type { PlatformURL } from './platform.js';
import { Run } from './run.js';
import { placeOf } from './shell.js';
import type { PipePlace } from './shell.js';
import { parseTarget, remotePathNames } from './target.js';
import type { LocalTarget, Location, RemoteTarget } from './target.js';
import { TIMEOUT_MS } from './engine-options.js';
import { transportOf, udpOutcomeOf } from './transports.js';
import type { Transport, UdpOutcome } from './transports.js';

/** One entry of a directory on a server. */
export interface ListEntry {
  /** Its name for people. */
  name: string;
  /** The exact bytes of the name, only when they are not UTF-8. */
  nameBytes?: Uint8Array;
  /** What it is. */
  kind: EntryKind;
  /** Size of a file's content in bytes. */
  size: number;
  /** Modification time in milliseconds since 1970. */
  mtimeMs: number;
  /** Permission bits. */
  mode: number;
}

/** What stands at one path on a server. */
export interface EntryStat {
  /** What it is. */
  kind: EntryKind;
  /** Size of a file's content in bytes; 0 for all else. */
  size: number;
  /**
   * Modification time in milliseconds since 1970. 0, as the mode, for a directory above all that this key may use: it
   * learns no more than that it is one.
   */
  mtimeMs: number;
  /** Permission bits. */
  mode: number;
}

/** How a question to a server is asked. */
export interface QuestionOptions {
  /**
   * The question ends when nothing of its answer has come for so many milliseconds (`ERR_SPARSYNC_TIMEOUT`), as where the server's file
   * system hangs; `0` is never.
   *
   * Default: `60_000`. Range: 0 to 86,400,000.
   *
   * @example `timeoutMs: 5000`
   */
  timeoutMs?: number | undefined;
}

/** Options of a transfer over a connection that stands already. */
export type ConnectionPlanOptions = Omit<PlanOptions, keyof ConnectOptions>;

/** A source on the server, or several below one root that are seen as one tree. See {@link Sources}. */
export type RemoteSources = string | Uint8Array | readonly (string | Uint8Array)[];

/** What a plan over a connection is of. */
export type PlanDirection =
  | { /** The local source, or several. */ push: Sources; /** The path on the server. */ to: string | Uint8Array }
  | { /** The path on the server, or several. */ pull: RemoteSources; /** The local destination. */ to: PathLike };

/**
 * A connection that is kept, for any number of transfers, several at once if need be. It keeps no process
 * alive while nothing is transferred. When it breaks, the next transfer or attempt connects anew.
 *
 * Paths on the server begin with the name of a root (`'backup/photos'`), or continue the path of the URL that was
 * connected to. They are plain text or bytes, without percent-encoding. Over ssh or a command one that begins with `/` or `~/`
 * is the whole path.
 */
export class Connection {
  readonly #target: RemoteTarget;
  readonly #dial: Dial;
  readonly #link: Link;
  readonly #logger: Logger | undefined;
  /** How long the first answer may take, which is a part of connecting. */
  readonly #answerTimeoutMs: number;
  /** The present connection, or the attempt to make it; `undefined` before the first use and after it broke. */
  #client: Promise<NativeClient> | undefined;
  /** The newest connection that was made, which may be broken by now. */
  #last: NativeClient | undefined;
  /** Transfers under way. */
  #users = 0;
  #closed = false;

  /** @internal */
  constructor(target: RemoteTarget, settings: ConnectSettings) {
    this.#target = target;
    this.#dial = new Dial(target, settings);
    this.#link = { open: () => this.#open() };
    this.#logger = settings.logger;
    this.#answerTimeoutMs = settings.connectTimeoutMs ?? TIMEOUT_MS;
  }

  /** The server's key, `ed25519:BASE64`. */
  get serverKey(): string {
    return this.#last?.facts().serverKey ?? '';
  }

  /** The server's next key, while the server announces one. */
  get nextKey(): NextServerKey | undefined {
    return nextKeyOf(this.#last?.facts().nextKey);
  }

  /** The address in use, `ip:port`. */
  get remoteAddress(): string {
    return this.#last?.facts().remoteAddress ?? '';
  }

  /** What carries it. */
  get transport(): Transport {
    return transportOf(this.#last?.transport);
  }

  /** Why that is not QUIC, where it would have been taken. */
  get udp(): UdpOutcome | undefined {
    return udpOutcomeOf(this.#last?.udp).udp;
  }

  /** The current estimate of the round-trip time in milliseconds. */
  roundTripMs(): number {
    return this.#last?.roundTripMs() ?? 0;
  }

  /**
   * Makes a path on the server equal to a local one. See {@link sync}.
   *
   * @example `await connection.push('./site', 'www/site', { delete: true })`
   */
  push(localPath: Sources, remotePath: string | Uint8Array, options?: TransferOptions): SyncJob {
    const ends = ({ batch }: TransferSettings): Ends => this.#pushEnds(sourceOf(localPath, batch), remotePath);
    return this.#transfer(ends, options, captureCallSite());
  }

  /**
   * Makes a local path equal to one on the server. See {@link sync}.
   *
   * @example `await connection.pull('backup/photos', './photos')`
   */
  pull(remotePath: RemoteSources, localPath: PathLike, options?: TransferOptions): SyncJob {
    return this.#transfer(() => this.#pullEnds(remotePath, localPath), options, captureCallSite());
  }

  /**
   * Tells what a push or pull would do, and writes nothing. See {@link Plan}.
   *
   * @example `for await (const item of connection.plan({ push: './site', to: 'www/site' })) console.log(item.path)`
   */
  plan(direction: PlanDirection, options?: ConnectionPlanOptions): Plan {
    const task = prepared((): Task => {
      checkDirection(direction);
      const ends =
        'push' in direction
          ? this.#pushEnds(direction.push, direction.to)
          : this.#pullEnds(direction.pull, direction.to);
      return taskOf(ends, this.#link, planTransferSettings(options), { operation: 'plan', logger: this.#logger });
    });
    return new Plan(task, captureCallSite());
  }

  /**
   * The entries of one directory on the server, without those below; at the top the roots that this key may see.
   *
   * @example `const entries = await connection.list('backup')`
   */
  async list(remotePath: string | Uint8Array = '', options?: QuestionOptions): Promise<ListEntry[]> {
    const site = captureCallSite();
    const entries = await this.#ask(remotePath, options, site, (client, ...asked) => client.list(...asked));
    return entries.map(toListEntry);
  }

  /**
   * What stands at one path on the server, whatever a directory there holds. A symlink is not followed.
   *
   * @throws {@link SparsyncError} with `ERR_SPARSYNC_NOT_FOUND` when nothing is there, and with `ERR_SPARSYNC_SCOPE` when
   * this key may not know.
   *
   * @example `const { kind } = await connection.stat('backup/photos')`
   */
  async stat(remotePath: string | Uint8Array, options?: QuestionOptions): Promise<EntryStat> {
    const site = captureCallSite();
    return toEntryStat(await this.#ask(remotePath, options, site, (client, ...asked) => client.stat(...asked)));
  }

  /** Asks the server about a path. */
  async #ask<T>(
    remotePath: string | Uint8Array,
    options: QuestionOptions | undefined,
    site: CallSite,
    question: (client: NativeClient, root: string, path: Uint8Array, timeoutMs: number) => Promise<T>,
  ): Promise<T> {
    let link: OpenLink | undefined;
    let failure: unknown;
    try {
      const { timeoutMs = TIMEOUT_MS } = checkOptions<QuestionOptions>(options, QUESTION_CHECKS, 'options');
      const { root, path } = this.#remote(remotePath, 'remotePath');
      link = await this.#open();
      if (link.client === undefined)
        throw makeError('a connection without a client', { code: 'ERR_SPARSYNC_INTERNAL' });
      return await question(link.client, root, path, timeoutMs);
    } catch (error) {
      failure = fromNative(error);
      throw atCallSite(failure, site);
    } finally {
      await link?.release(failure);
    }
  }

  /** @internal Connects now instead of with the first transfer. */
  async establish(): Promise<void> {
    const link = await this.#open();
    try {
      // The server checks the client's key after the handshake: only its first answer tells that the key is accepted.
      await link.client?.list('', new Uint8Array(), this.#answerTimeoutMs);
    } catch (error) {
      await link.release(error);
      await this.close();
      throw whileConnecting(error);
    }
    await link.release();
  }

  /** @internal Begins to connect for a transfer that is about to start. The transfer gets the error if this fails. */
  begin(): void {
    this.#client ??= this.#connect();
    this.#client.catch(() => undefined);
  }

  /** Ends the connection. Transfers that are under way fail with `ERR_SPARSYNC_CLOSED`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#dial.callOff();
    if (this.#last !== undefined) await closeQuietly(this.#last);
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #transfer(ends: (transfer: TransferSettings) => Ends, options: TransferOptions | undefined, site: CallSite): SyncJob {
    const watch = { operation: 'sync', logger: this.#logger } as const;
    const task = (): Task => {
      const transfer = transferSettings(options);
      return taskOf(ends(transfer), this.#link, transfer, watch);
    };
    return new SyncJob(new Run(task, site));
  }

  #pushEnds(localPath: Sources, remotePath: string | Uint8Array): Ends {
    const ends = {
      sources: eachSource<Location, LocalTarget>(localPath, 'localPath', local),
      destination: this.#remote(remotePath, 'remotePath'),
    };
    checkEnds(ends);
    return ends;
  }

  #pullEnds(remotePath: RemoteSources, localPath: PathLike): Ends {
    const sources = eachSource(remotePath, 'remotePath', (path, what) => this.#remote(path, what));
    const ends = { sources, destination: local(localPath, 'localPath') };
    checkEnds(ends);
    return ends;
  }

  #remote(path: string | Uint8Array, what: string): RemoteTarget {
    const { via } = this.#target;
    // Of a machine the beginning says where a path begins, as in a shell there. The command's own paths begin with a root.
    if (via !== undefined && this.#target.root !== '') {
      const bytes = typeof path === 'string' ? bytesOf(path) : path;
      if (bytes instanceof Uint8Array && (bytes[0] === 0x2f || bytes[0] === 0x7e))
        return { ...this.#target, ...placeOf(bytes, what) };
    }
    const names = remotePathNames(path, what);
    const trailingSlash = (typeof path === 'string' ? path.endsWith('/') : path.at(-1) === 0x2f) || names.length === 0;
    const { root } = this.#target;
    const own = root === '' ? 1 : 0;
    const below = names.slice(own);
    const anchor = typeof path === 'string' ? path.indexOf('/./') : Buffer.from(path).indexOf('/./');
    const above = anchor === -1 ? [] : remotePathNames(path.slice(0, anchor), what).slice(own);
    return {
      ...this.#target,
      root: root === '' ? textOf(names[0] ?? new Uint8Array()) : root,
      path: below.reduce(joinBytes, this.#target.path),
      trailingSlash,
      anchor: anchor === -1 ? this.#target.anchor : above.reduce(joinBytes, this.#target.path).length,
    };
  }

  async #open(): Promise<OpenLink> {
    if (this.#closed) throw makeError('the connection was closed', { code: 'ERR_SPARSYNC_CLOSED' });
    this.#client ??= this.#connect();
    const attempted = this.#client;
    const giveUp = (): void => {
      // Several transfers share the connection: the first one that finds it broken removes it for all.
      if (this.#client === attempted) this.#client = undefined;
    };
    try {
      const client = await attempted;
      this.#users += 1;
      return {
        client,
        release: async (failure) => {
          this.#users -= 1;
          if (failure !== undefined && fromNative(failure) instanceof ConnectionError) giveUp();
          // Other transfers may still use a connection on which one has timed out.
          if (this.#client !== attempted && this.#users === 0) await closeQuietly(client);
        },
      };
    } catch (error) {
      giveUp();
      throw error;
    }
  }

  async #connect(): Promise<NativeClient> {
    const client = await this.#dial.connect();
    this.#last = client;
    // `close` may have been called during the handshake.
    if (this.#closed) await closeQuietly(client);
    return client;
  }
}

export const QUESTION_CHECKS: Checks<QuestionOptions> = { timeoutMs: integer(0, 86_400_000, 'milliseconds') };

function checkDirection(direction: unknown): asserts direction is PlanDirection {
  const is = (name: string): boolean => isPlain(direction) && Reflect.get(direction, name) !== undefined;
  if (is('push') !== is('pull') && is('to')) return;
  throw new ConfigError(
    `direction must be { push: localPath, to: remotePath } or { pull: remotePath, to: localPath }, not ${describe(direction)}`,
  );
}

function local(path: Location, what: string): LocalTarget {
  const target = parseTarget(path, what);
  if (target.kind !== 'local') {
    throw new ConfigError(`${what} must be a path on this machine: the connection is the other end`);
  }
  return target;
}

function toEntryStat({ kind, size, mtimeMs, mode }: NativeStat): EntryStat {
  return { kind, size, mtimeMs, mode };
}

function toListEntry(entry: NativeListEntry): ListEntry {
  const { name, nameBytes, kind, size, mtimeMs, mode } = entry;
  return { name, ...(nameBytes === undefined ? {} : { nameBytes }), kind, size, mtimeMs, mode };
}

/**
 * Connects to a server and keeps the connection for many transfers.
 *
 * @param url - `sparsync://host[:port]`, or with a root and path that the paths of transfers then continue. A place over ssh
 * or a command has a path, which those paths continue.
 * @throws {@link HostKeyError} for a server that is not trusted, {@link AccessError} when it does not know this key,
 * {@link ConnectionError} when it cannot be reached.
 *
 * @example
 * ```ts
 * await using connection = await connect('sparsync://backup.example');
 * await connection.push('/srv/photos', 'backup/photos');
 * await connection.push('/srv/music', 'backup/music');
 * ```
 */
export async function connect(url: string | PlatformURL | PipePlace, options?: ConnectOptions): Promise<Connection> {
  const site = captureCallSite();
  try {
    const connection = lazyConnection(url, options);
    await connection.establish();
    return connection;
  } catch (error) {
    throw atCallSite(fromNative(error), site);
  }
}

/** A connection that is made by its first transfer, so that the transfer's `retry` covers it. */
export function lazyConnection(url: string | PlatformURL | PipePlace, options?: ConnectOptions): Connection {
  const settings = connectSettings(options);
  const target = parseTarget(url, 'url');
  if (target.kind !== 'remote') throw new ConfigError('url must be a sparsync:// URL, as in sparsync://host/root');
  return new Connection(target, settings);
}

/** The same to the machine of a target, for any of its roots. */
export function connectionTo(target: RemoteTarget, options?: ConnectOptions): Connection {
  const settings = connectSettings(options);
  return new Connection({ ...target, root: '', path: new Uint8Array(), anchor: 0, trailingSlash: false }, settings);
}
