import { ERROR_CODES } from './codes.js';
import type { ErrorCode } from './codes.js';
import type { EntryPath } from './events.js';
import type { Level } from './logger.js';
import type { NativeLogFormat, NativeServer, NativeServerEvent } from './native.js';
import { textOf } from './paths.js';
import { transportOf } from './transports.js';
import type { Transport } from './transports.js';
import { callListeners } from './listeners.js';

/** Who a client is. */
export interface ServerClient {
  /** The name of its key; absent for a stranger. */
  client?: string;
  /** The key that it has shown, `ed25519:BASE64`. */
  publicKey?: string;
  /** Where it is, `ip:port`. */
  address: string;
  /** What carries its connection. */
  transport: Transport;
}

/** What a client asked for. */
export interface ServerRequest extends EntryPath {
  /** `push` writes here, `pull` reads here, `join` is for becoming a client, and the others look. */
  operation: 'push' | 'pull' | 'list' | 'stat' | 'explain' | 'join';
  /** The root, as the client calls it. */
  root: string;
  /** How many further sources a pull has besides `path`. */
  moreSources?: number;
}

/** What went wrong. */
export interface ServerProblem {
  /** The code. */
  code: ErrorCode;
  /** The same for people. */
  message: string;
  /** The path that it is about. */
  errorPath?: string;
}

/** A client was let in. */
export interface ServerConnectedEvent extends ServerClient {
  type: 'connected';
  /** When. */
  at: Date;
}

/** The connection of a client is over. */
export interface ServerDisconnectedEvent extends ServerClient {
  type: 'disconnected';
  /** When. */
  at: Date;
  /** How long it lasted. */
  durationMs: number;
}

/** A transfer has ended. All figures are the server's own. */
export interface ServerSessionEvent extends ServerClient, ServerRequest, Partial<ServerProblem> {
  type: 'session';
  /** When. */
  at: Date;
  /** Nothing was to be changed. */
  dryRun: boolean;
  /** Files whose content was written here, or of a pull was read here. */
  files: number;
  /** Bytes of content that came or went. */
  bytes: number;
  /** Entries that were removed here. */
  deletes: number;
  /** Paths that did not arrive here as they should. */
  failed: number;
  /** `ok`, `partial` when some paths failed, or `error`, of which `code` and `message` say more. */
  result: 'ok' | 'partial' | 'error';
  /** How long it took. */
  durationMs: number;
}

/** A question was answered. With `code` the answer is that error, as for a path that is not there. */
export interface ServerAnsweredEvent extends ServerClient, ServerRequest, Partial<ServerProblem> {
  type: 'answered';
  /** When. */
  at: Date;
}

/** A client, or what it asked for, was refused; without `operation` it was the connection itself. */
export interface ServerRefusedEvent extends ServerClient, Partial<ServerRequest>, ServerProblem {
  type: 'refused';
  /** When. */
  at: Date;
}

/** Somebody became a client by an invitation. */
export interface ServerJoinedEvent extends ServerClient {
  type: 'joined';
  /** When. */
  at: Date;
}

/** A connection was ended because its key may do other things now, or nothing any more. */
export interface ServerRevokedEvent extends ServerClient {
  type: 'revoked';
  /** When. */
  at: Date;
}

/** The authorized keys were read, and so many are in force. */
export interface ServerKeysEvent {
  type: 'keys';
  /** When. */
  at: Date;
  /** How many keys are in force. */
  count: number;
}

/** The authorized keys cannot be used: nobody new is let in until they can. */
export interface ServerKeysUnreadableEvent extends ServerProblem {
  type: 'keys-unreadable';
  /** When. */
  at: Date;
}

/** The server shows this key from now on, and tells which one is to follow. */
export interface ServerKeyEvent {
  type: 'server-key';
  /** When. */
  at: Date;
  /** The key, `ed25519:BASE64`. */
  publicKey: string;
  /** The one that is to follow. */
  nextKey?: string;
  /** From when that counts. */
  from?: Date;
}

/** The files of the server's key cannot be used: what was shown goes on being shown. */
export interface ServerKeyUnusableEvent extends ServerProblem {
  type: 'server-key-unusable';
  /** When. */
  at: Date;
}

/** So many handshakes were refused since the last such event, of which there is one a minute at most: a network had too many under way, or no place was left. */
export interface ServerHandshakesRefusedEvent {
  type: 'handshakes-refused';
  /** When. */
  at: Date;
  /** How many. */
  count: number;
}

/** So many events were not kept: there were too many, or too many strangers were refused at once. */
export interface ServerDroppedEvent {
  type: 'dropped';
  /** When. */
  at: Date;
  /** How many. */
  count: number;
}

/** What happens on a server. */
export type ServerEvent =
  | ServerConnectedEvent
  | ServerDisconnectedEvent
  | ServerSessionEvent
  | ServerAnsweredEvent
  | ServerRefusedEvent
  | ServerJoinedEvent
  | ServerRevokedEvent
  | ServerKeysEvent
  | ServerKeysUnreadableEvent
  | ServerKeyEvent
  | ServerKeyUnusableEvent
  | ServerHandshakesRefusedEvent
  | ServerDroppedEvent;

/** Is told what happens on a server, soon after it has happened. */
export type ServerEventListener = (event: ServerEvent) => void;

/** What is told late is of little use to who watches, and a look costs next to nothing. */
const LOOK_EVERY_MS = 100;

/** Is told what happens on a server, and how much it matters. */
export type WatchListener = (event: ServerEvent, level: Level) => void;

/** A log that the core makes the lines of. */
export interface LineLog {
  /** What they are like, and which there are. */
  readonly format: NativeLogFormat;
  /** Writes one. */
  write(line: string): void;
}

/** Who is told what happens on a server. */
export interface ServerWatchers {
  readonly listeners: readonly WatchListener[];
  readonly lines: LineLog | undefined;
}

/** Tells what happens on a server. */
export class ServerWatch {
  readonly #native: NativeServer;
  readonly #watchers: ServerWatchers;
  readonly #timer: NodeJS.Timeout;

  constructor(native: NativeServer, watchers: ServerWatchers) {
    this.#native = native;
    this.#watchers = watchers;
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Tells what has happened by now. */
  look(): void {
    const { listeners, lines: log } = this.#watchers;
    const { events, lines } = this.#native.takeEvents(listeners.length > 0, log?.format);
    for (const line of lines) log?.write(line);
    for (const event of events) {
      const told = toServerEvent(event);
      if (told !== undefined) callListeners(listeners, told, event.level);
    }
  }

  /** Tells the rest. */
  end(): void {
    clearInterval(this.#timer);
    this.look();
  }
}

function toServerEvent(event: NativeServerEvent): ServerEvent | undefined {
  const at = new Date(event.atMs);
  const client = clientOf(event);
  const durationMs = event.durationMs ?? 0;
  const count = event.count ?? 0;
  switch (event.kind) {
    case 'connected':
      return { type: 'connected', at, ...client };
    case 'disconnected':
      return { type: 'disconnected', at, ...client, durationMs };
    case 'session':
      return { type: 'session', at, ...client, ...requestOf(event), ...sessionOf(event), durationMs };
    case 'answered':
      return { type: 'answered', at, ...client, ...requestOf(event), ...problemOf(event) };
    case 'refused': {
      const request = event.operation === undefined ? {} : requestOf(event);
      return { type: 'refused', at, ...client, ...request, ...(problemOf(event) ?? NO_REASON) };
    }
    case 'joined':
      return { type: 'joined', at, ...client };
    case 'revoked':
      return { type: 'revoked', at, ...client };
    case 'keys':
      return { type: 'keys', at, count };
    case 'keys-unreadable':
      return { type: 'keys-unreadable', at, ...(problemOf(event) ?? NO_REASON) };
    case 'server-key':
      return { type: 'server-key', at, ...ownKeyOf(event) };
    case 'server-key-unusable':
      return { type: 'server-key-unusable', at, ...(problemOf(event) ?? NO_REASON) };
    case 'handshakes-refused':
      return { type: 'handshakes-refused', at, count };
    case 'dropped':
      return { type: 'dropped', at, count };
    default:
      return undefined;
  }
}

/** The engine always gives a reason; the type does not know. */
const NO_REASON: ServerProblem = { code: 'ERR_SPARSYNC_INTERNAL', message: 'no reason was given' };

const OPERATIONS = ['push', 'pull', 'list', 'stat', 'explain', 'join'] as const;

function clientOf({ client, publicKey, address, transport }: NativeServerEvent): ServerClient {
  return {
    ...(client === undefined ? {} : { client }),
    ...(publicKey === undefined ? {} : { publicKey }),
    address: address ?? '',
    transport: transportOf(transport),
  };
}

function ownKeyOf({ publicKey, nextKey, fromMs }: NativeServerEvent): Omit<ServerKeyEvent, 'type' | 'at'> {
  const next = nextKey === undefined ? {} : { nextKey, from: new Date(fromMs ?? 0) };
  return { publicKey: publicKey ?? '', ...next };
}

function requestOf({ operation, root, path, more }: NativeServerEvent): ServerRequest {
  const bytes = path ?? new Uint8Array();
  const text = textOf(bytes);
  return {
    operation: OPERATIONS.find((each) => each === operation) ?? 'stat',
    root: textOf(root ?? new Uint8Array()),
    path: text,
    ...(text.includes('\uFFFD') ? { pathBytes: bytes } : {}),
    ...(more === undefined ? {} : { moreSources: more }),
  };
}

function problemOf({ code, message, errorPath, path }: NativeServerEvent): ServerProblem | undefined {
  const known = ERROR_CODES.find((each) => each === code);
  if (known === undefined) return undefined;
  // Mostly it is the path that was asked for.
  const about = errorPath === undefined ? undefined : textOf(errorPath);
  const isTold = about === undefined || (path !== undefined && about === textOf(path));
  return {
    code: known,
    message: message ?? '',
    ...(isTold ? {} : { errorPath: about }),
  };
}

function sessionOf(
  event: NativeServerEvent,
): Omit<ServerSessionEvent, 'type' | 'at' | 'durationMs' | keyof ServerClient | keyof ServerRequest> {
  const problem = problemOf(event);
  const failed = event.failed ?? 0;
  return {
    dryRun: event.dryRun ?? false,
    files: event.files ?? 0,
    bytes: event.bytes ?? 0,
    deletes: event.deletes ?? 0,
    failed,
    result: problem !== undefined ? 'error' : failed > 0 ? 'partial' : 'ok',
    ...problem,
  };
}
