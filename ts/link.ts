import { credentialText, defaultKeyPath, defaultKnownHostsPath } from './config.js';
import type { ConnectedEvent, NextServerKey } from './events.js';
import { ConfigError, fromNative, makeError } from './errors.js';
import type { SparsyncError } from './errors.js';
import { loadNative } from './native.js';
import type {
  NativeClient,
  NativeConnectOptions,
  NativeDial,
  NativeIdentity,
  NativeNextKey,
  NativeTrust,
} from './native.js';
import { warnIfWritable } from './own-file.js';
import { nativeRoute } from './route.js';
import type { ConnectSettings } from './settings.js';
import { shownPlace } from './shell.js';
import type { Via } from './shell.js';
import type { RemoteTarget } from './target.js';
import { transportOf, udpOutcomeOf } from './transports.js';

/** The default deadline for reaching a server. */
const CONNECT_TIMEOUT_MS = 10_000;

/** The other end, reached for one attempt. */
export interface OpenLink {
  /** The connection; none when both ends are on this machine. */
  readonly client: NativeClient | undefined;
  /** Gives the link back. `failure` is the error of the attempt, if it failed. */
  release(failure?: unknown): Promise<void>;
}

/** A way to the other end, opened once for each attempt. */
export interface Link {
  open(): Promise<OpenLink>;
  /** Ends an `open` that nobody waits for any more. */
  callOff?(): void;
}

/** Both ends are on this machine. */
export const LOCAL_LINK: Link = {
  open: () => Promise.resolve({ client: undefined, release: () => Promise.resolve() }),
};

/**
 * The error of a question that is a part of connecting. One that was not answered in time says so as the native core does where
 * the handshake is not.
 */
export function whileConnecting(thrown: unknown): SparsyncError {
  const { message, code, side, retryable, details, cause } = fromNative(thrown);
  if (code !== 'ERR_SPARSYNC_TIMEOUT') return fromNative(thrown);
  return makeError(message, { code, side, retryable, details: { ...details, phase: 'connect' }, cause });
}

/** A connection for one attempt only. */
export function oneShotLink(target: RemoteTarget, settings: ConnectSettings): Link {
  const dial = new Dial(target, settings);
  return {
    open: async () => {
      const client = await dial.connect();
      return { client, release: () => closeQuietly(client) };
    },
    callOff: () => dial.callOff(),
  };
}

/** Makes connections to one place, one at a time. */
export class Dial {
  readonly #target: RemoteTarget;
  readonly #settings: ConnectSettings;
  #native: NativeDial | undefined;
  #isCalledOff = false;

  constructor(target: RemoteTarget, settings: ConnectSettings) {
    this.#target = target;
    this.#settings = settings;
  }

  /** Connects. Names are looked up each time, since a server may have moved. */
  connect(): Promise<NativeClient> {
    const { host, via } = this.#target;
    return via === undefined ? this.#connectToServer() : this.#connectBy(host, via);
  }

  /** Ends a command that has not reached the other end yet: it may be waiting for a password that nobody will type. */
  callOff(): void {
    this.#isCalledOff = true;
    this.#native?.cancel();
  }

  async #connectToServer(): Promise<NativeClient> {
    const target = this.#target;
    if (this.#settings.transport === 'pipe')
      throw new ConfigError('transport pipe is for ssh and commands: a server is reached by quic or tcp');
    const credential = credentialText();
    const settings =
      credential === undefined
        ? this.#settings
        : (await import('./credential.js')).withCredential(credential, target, this.#settings);
    const options = nativeConnection(target, settings, nativeTrust(settings.trust));
    const native = await loadNative();
    try {
      return await native.NativeClient.connect(options);
    } catch (error) {
      throw fromNative(error);
    }
  }

  /** Starts a command that leads to the other end. It has no deadline, because it may ask for a password. */
  async #connectBy(host: string, via: Via): Promise<NativeClient> {
    const { besideOptions, sessionCommand } = await import('./session-command.js');
    const { words, shown, programs, isSsh } = sessionCommand(host, via, this.#settings);
    const beside = besideOptions(host, isSsh, this.#settings);
    const native = await loadNative();
    const dial = new native.NativeDial();
    this.#native = dial;
    if (this.#isCalledOff) dial.cancel();
    try {
      const timeout = this.#settings.connectTimeoutMs;
      const options = {
        words: [...words],
        shown,
        programs: programs.map(({ machine, path }) => ({ machine, path })),
        address: shownPlace(host, via),
        inheritsStderr: this.#settings.commandStderr === 'inherit',
        ...(beside === undefined ? {} : { beside }),
        ...(timeout === undefined ? {} : { connectTimeoutMs: timeout }),
      };
      return await native.NativeClient.connectBy(options, dial);
    } catch (error) {
      throw fromNative(error);
    }
  }
}

/** A connection to a server as native code takes it. */
export function nativeConnection(
  { host, port }: Pick<RemoteTarget, 'host' | 'port'>,
  settings: ConnectSettings,
  trust: NativeTrust,
): NativeConnectOptions {
  return {
    host,
    port,
    identity: nativeIdentity(settings.identity),
    trust,
    connectTimeoutMs: settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    idleTimeoutMs: settings.idleTimeoutMs,
    initialMtu: settings.initialMtu,
    congestion: settings.congestion,
    transport: settings.transport,
    route: nativeRoute(settings),
  };
}

/** Closes a connection and ignores errors: the work on it has ended, whether it succeeded or not. */
export async function closeQuietly(client: NativeClient): Promise<void> {
  try {
    await client.close();
  } catch {
    // The connection may be lost already.
  }
}

/**
 * What an attempt tells about its connection as it is now. The event is made when somebody asks for it; what may be another one
 * by then, in a session that began in a pipe, is taken at once.
 */
export function connectedEvent(client: NativeClient, attempt: number): () => ConnectedEvent {
  const { transport, udp } = client;
  return () => {
    const { serverKey, remoteAddress, nextKey: announced } = client.facts();
    const nextKey = nextKeyOf(announced);
    return {
      type: 'connected',
      serverKey,
      ...(nextKey === undefined ? {} : { nextKey }),
      remoteAddress,
      transport: transportOf(transport),
      ...udpOutcomeOf(udp),
      attempt,
    };
  };
}

/** What a server says is to follow its key. */
export function nextKeyOf(told: NativeNextKey | undefined): NextServerKey | undefined {
  if (told === undefined) return undefined;
  const { key, fromMs, recorded, problem } = told;
  return { key, from: new Date(fromMs), recorded, ...(problem === undefined ? {} : { problem }) };
}

/** The identity in the form of native code; this user's key by default. */
export function nativeIdentity(identity: ConnectSettings['identity']): NativeIdentity {
  const { keyPath, key, cert } = identity;
  return {
    ...(key === undefined ? { keyPath: keyPath ?? defaultKeyPath() } : { keyPem: key }),
    ...(cert === undefined ? {} : { certPem: cert }),
  };
}

function nativeTrust(trust: ConnectSettings['trust']): NativeTrust {
  const { pin, knownHosts, firstUse, ca } = trust;
  // With pins or a CA no file is used, and none need exist: a container may have no home folder.
  const file = pin.length > 0 || ca !== undefined ? knownHosts : (knownHosts ?? defaultKnownHostsPath());
  if (file !== undefined && pin.length === 0) warnIfWritable(file);
  return {
    pins: [...pin],
    ...(file === undefined ? {} : { knownHosts: file }),
    acceptNew: firstUse === 'accept',
    ...(ca === undefined ? {} : { caPem: ca }),
  };
}
