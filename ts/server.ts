import { captureCallSite } from './callsite.js';
import type { CallSite } from './callsite.js';
import { argument, checkOptions, instance, integer, text } from './check.js';
import type { Checks } from './check.js';
import { atCallSite, fromNative } from './errors.js';
import { nativeIdentity } from './link.js';
import { loadNative } from './native.js';
import type { NativeServer, NativeServerOptions } from './native.js';
import { reloadSettings, serveSettings } from './server-options.js';
import type { Limits, ReloadOptions, ServeOptions, ServeSettings } from './server-options.js';
import { ServerWatch } from './server-events.js';
import type { LineLog, ServerWatchers } from './server-events.js';
import { ServerProfiler } from './server-profile.js';
import { formatRemote } from './target.js';
import { serverListeners } from './watch.js';

/** The counters of a server since its start. Bytes are those of all streams, of sessions under way as well. */
export type ServerStats = Readonly<Record<string, number>>;

/** Options of closing a server. */
export interface CloseOptions {
  /**
   * Time for transfers to finish in milliseconds.
   *
   * Default: `10_000`. Range: 0 to 86,400,000.
   *
   * @example `await server.close({ graceMs: 60_000 })`
   */
  graceMs?: number | undefined;
}

const CLOSE_CHECKS: Checks<CloseOptions> = { graceMs: integer(0, 86_400_000, 'milliseconds') };

/** How long `close` lets transfers finish before it rolls them back, in milliseconds. */
export const GRACE_MS = 10_000;

/** The longest interval of a timer, whose only purpose is to exist. */
const FOREVER_MS = 2 ** 31 - 1;

/**
 * A server that is running. It keeps the process alive until it is closed, unless `unref` says otherwise.
 */
export class Server {
  readonly #native: NativeServer;
  readonly #keepAlive: NodeJS.Timeout;
  readonly #profiler: ServerProfiler | undefined;
  readonly #watch: ServerWatch | undefined;
  #limits: Limits;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(native: NativeServer, settings: ServeSettings, watchers: ServerWatchers | undefined) {
    const { profile, limits } = settings;
    this.#limits = limits;
    this.#native = native;
    this.#watch = watchers === undefined ? undefined : new ServerWatch(native, watchers);
    this.#profiler = profile === undefined ? undefined : new ServerProfiler(native, profile);
    // The native core does not keep the process alive: this timer does, unless `unref` is called.
    this.#keepAlive = setInterval(() => undefined, FOREVER_MS);
  }

  /** Where it listens, `ip:port`. */
  get address(): string {
    return this.#native.address;
  }

  /** The port, of UDP and of TCP. */
  get port(): number {
    return Number(this.address.slice(this.address.lastIndexOf(':') + 1));
  }

  /** Its key, which clients pin, `ed25519:BASE64`. */
  get publicKey(): string {
    return this.#native.publicKey;
  }

  /**
   * The URL of a root for clients on this machine, or with `host` for others.
   *
   * @example `await sync('./site', server.url('site'), { trust: { pin: server.publicKey } })`
   */
  url(root?: string, host?: string): string {
    const name = argument(
      root,
      'root',
      instance<string>((value) => typeof value === 'string', 'the name of a root'),
    );
    const shown = argument(host, 'host', text('a host'));
    const address = this.address.slice(0, this.address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
    const reachable = address === '0.0.0.0' || address === '::' ? 'localhost' : address;
    return formatRemote(shown ?? reachable, this.port, name);
  }

  /** The counters. */
  stats(): ServerStats {
    return this.#native.stats();
  }

  /**
   * Figures for a monitoring system in the text form of OpenMetrics, which Prometheus reads; empty without `metrics: true`.
   */
  metrics(): string {
    return this.#native.metrics() ?? '';
  }

  /** Why clients are not let in as they should be: it closes, or its authorized keys cannot be used. */
  ailment(): string | undefined {
    return this.#native.ailment() ?? undefined;
  }

  /**
   * Reads the authorized keys again, without waiting until they look changed. Its outcome is told to `log`. What is given
   * takes the place of what `serve` was given; a client that is no longer allowed so loses its connections, and lower limits
   * end nothing that is there. A root whose path leads to another directory than before is opened anew, which is not waited for.
   *
   * @throws {@link ConfigError} for what cannot be used; nothing is changed then.
   *
   * @example `server.reload({ allow: [{ name: 'laptop', key: 'ed25519:…' }], maxSessions: 8 })`
   */
  reload(options?: ReloadOptions): void {
    try {
      this.change(options);
    } catch (error) {
      throw atCallSite(fromNative(error), captureCallSite());
    }
    this.#native.reload();
    this.#watch?.look();
  }

  /** @internal Applies the options of `reload`, or throws if they cannot be used. */
  change(options?: ReloadOptions): void {
    const { authorizedKeys, limits } = reloadSettings(options);
    const all = { ...this.#limits, ...limits };
    this.#native.change(authorizedKeys, all);
    this.#limits = all;
  }

  /** @internal Tells what has happened until now, so that what is logged next stands behind it. */
  tellNow(): void {
    this.#watch?.look();
  }

  /** @internal Counts a line that its log has lost. */
  logLost(): void {
    this.#native.logLost();
  }

  /** Keep the process alive while the server runs, which is the default. */
  ref(): this {
    this.#keepAlive.ref();
    return this;
  }

  /** Let the process end although the server runs. */
  unref(): this {
    this.#keepAlive.unref();
    return this;
  }

  /**
   * Accepts no further transfer, lets those under way finish or, after the time given, rolls them back, and stops.
   * Every path then has its old or its complete new content.
   */
  close(options?: CloseOptions): Promise<void> {
    try {
      const { graceMs } = checkOptions<CloseOptions>(options, CLOSE_CHECKS, 'options');
      this.#watch?.look();
      this.#closing ??= this.#close(graceMs ?? GRACE_MS);
      return this.#closing;
    } catch (error) {
      return Promise.reject(atCallSite(fromNative(error), captureCallSite()));
    }
  }

  /** Resolves when the server has stopped, by `close` or by itself. The process stays alive meanwhile. */
  async closed(): Promise<void> {
    const site = captureCallSite();
    try {
      await this.#native.closed();
    } catch (error) {
      throw atCallSite(fromNative(error), site);
    } finally {
      this.#end();
    }
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(graceMs: number): Promise<void> {
    const site = captureCallSite();
    try {
      await this.#native.close(graceMs);
    } catch (error) {
      throw atCallSite(fromNative(error), site);
    } finally {
      this.#end();
    }
  }

  #end(): void {
    clearInterval(this.#keepAlive);
    this.#profiler?.end();
    this.#watch?.end();
  }
}

/**
 * Starts a server in this process.
 *
 * @throws {@link ConfigError} for options that cannot be used, {@link IoError} when the address is taken.
 *
 * @example
 * ```ts
 * await using server = await serve({
 *   roots: { backup: '/srv/backup' },
 *   listen: '[::]:28792',
 *   allow: [{ name: 'laptop', key: 'ed25519:…', roots: ['backup/laptop'] }],
 * });
 * console.log(server.url('backup'), server.publicKey);
 * ```
 */
export async function serve(options: ServeOptions): Promise<Server> {
  return start(options, undefined, captureCallSite());
}

/** @internal As `serve`, with a log that the core makes the lines of. */
export async function serveLogged(options: ServeOptions, lines: LineLog): Promise<Server> {
  return start(options, lines, captureCallSite());
}

async function start(options: ServeOptions, lines: LineLog | undefined, site: CallSite): Promise<Server> {
  try {
    const settings = serveSettings(options);
    const native = await loadNative();
    const { log, logger } = settings;
    const listeners = [...(log === undefined ? [] : [log]), ...(await serverListeners(logger))];
    const watchers = listeners.length === 0 && lines === undefined ? undefined : { listeners, lines };
    const started = await native.NativeServer.start(nativeOptions(settings, watchers !== undefined));
    return new Server(started, settings, watchers);
  } catch (error) {
    throw atCallSite(fromNative(error), site);
  }
}

function nativeOptions(settings: ServeSettings, log: boolean): NativeServerOptions {
  const { authorizedKeysPath, clientCa } = settings;
  return {
    listen: settings.listen,
    identity: nativeIdentity(settings.identity),
    roots: settings.roots.map(({ versions, ...root }) => ({
      ...root,
      exclude: root.exclude.map((each) => Buffer.from(each)),
      ...(versions === undefined ? {} : { versions }),
    })),
    ...(authorizedKeysPath === undefined ? {} : { authorizedKeysPath }),
    authorizedKeys: [...settings.authorizedKeys],
    ...(clientCa === undefined ? {} : { clientCaPem: clientCa }),
    anonymous: settings.anonymous,
    durability: settings.durability,
    limits: { ...settings.limits },
    idleTimeoutMs: settings.idleTimeoutMs,
    congestion: settings.congestion,
    tcp: settings.tcp,
    profile: settings.profile !== undefined,
    refuse: [...settings.refuse],
    log,
    metrics: settings.metrics,
  };
}
