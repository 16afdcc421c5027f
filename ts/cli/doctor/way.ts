import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

import type { ErrorCode } from '../../codes.js';
import { credentialText } from '../../config.js';
import { connect, connectionTo } from '../../connection.js';
import type { Connection } from '../../connection.js';
import { parseCredential } from '../../credential.js';
import { SparsyncError, fromNative, messageOf } from '../../errors.js';
import type { ConnectOptions } from '../../options.js';
import { formatRemote } from '../../target.js';
import type { RemoteTarget } from '../../target.js';
import { hintFor } from '../hints.js';
import { well, wrong } from './finding.js';
import type { Finding } from './finding.js';

/** How long a way may take to which there is an alternative. */
const WAY_TIMEOUT_MS = 3000;

/** Errors of servers that answer, and the checks that they belong to. */
const ANSWERS: Partial<Record<ErrorCode, string>> = {
  ERR_SPARSYNC_VERSION: 'versions',
  ERR_SPARSYNC_UNKNOWN_HOST: 'server key',
  ERR_SPARSYNC_HOST_KEY_CHANGED: 'server key',
  ERR_SPARSYNC_UNAUTHORIZED: 'access',
  ERR_SPARSYNC_SCOPE: 'access',
  ERR_SPARSYNC_LIMIT: 'server limits',
};

/** The check that an error of a server belongs to which answers; none of one that does not. */
function answerOf({ code, side }: SparsyncError): string | undefined {
  // A server that is full says so.
  return code === 'ERR_SPARSYNC_CONNECT' && side === 'remote' ? 'server limits' : ANSWERS[code];
}

/** Errors of a server that does not answer. */
const SILENCE: readonly ErrorCode[] = ['ERR_SPARSYNC_CONNECT', 'ERR_SPARSYNC_TIMEOUT', 'ERR_SPARSYNC_CLOSED'];

/** A connection that was made, and is closed: what follows connects anew, and a key may have one connection alone. */
type Reached = Pick<Connection, 'remoteAddress' | 'serverKey' | 'nextKey' | 'transport' | 'udp'> & {
  readonly roundTripMs: number;
};

/** Checks the way to a server, and says whether there is one. */
export async function* examineWay(
  target: RemoteTarget,
  options: ConnectOptions,
): AsyncGenerator<Finding, boolean, undefined> {
  const reached = await attempt(async (): Promise<Reached> => {
    const connection = connectionTo(target, options);
    await connection.establish();
    const { remoteAddress, serverKey, nextKey, transport, udp } = connection;
    const made = { remoteAddress, serverKey, nextKey, transport, udp, roundTripMs: connection.roundTripMs() };
    await connection.close();
    return made;
  });
  if (target.via === undefined) yield* examineNetwork(target, options, reached);
  if (reached instanceof SparsyncError) {
    yield failure(answerOf(reached) ?? 'connection', reached);
    return false;
  }
  const { remoteAddress, serverKey, nextKey, transport, udp } = reached;
  const stands = udp === undefined ? '' : ` (UDP: ${udp})`;
  const time = `${reached.roundTripMs.toFixed(1)} ms`;
  yield well('connection', `${remoteAddress}, by ${transport}${stands}, round trip ${time}`);
  yield well('versions', 'both ends have a version of the protocol in common');
  if (serverKey !== '') {
    const next = nextKey === undefined ? '' : `, from ${nextKey.from.toISOString()} on ${nextKey.key}`;
    yield well('server key', `${serverKey}${next}`);
  }
  return true;
}

/** What comes of an attempt to reach a server, or its error. A server that refuses was reached, too. */
async function attempt<T>(connecting: () => Promise<T>): Promise<T | SparsyncError> {
  try {
    return await connecting();
  } catch (error) {
    return fromNative(error);
  }
}

function failure(check: string, error: SparsyncError): Finding {
  const isSilent =
    SILENCE.includes(error.code) && answerOf(error) === undefined && error.details['reason'] === undefined;
  const fix = isSilent ? 'start the server there, or open its port (28792 by default)' : hintFor(error);
  return wrong('problem', check, `${error.code}: ${error.message}`, fix);
}

async function* examineNetwork(
  target: RemoteTarget,
  options: ConnectOptions,
  reached: Reached | SparsyncError,
): AsyncGenerator<Finding, undefined, undefined> {
  const answer = reached instanceof SparsyncError ? answerOf(reached) : undefined;
  const isSilent = reached instanceof SparsyncError && SILENCE.includes(reached.code) && answer === undefined;
  // An error of this machine, for instance a missing key, says nothing about the way.
  if (reached instanceof SparsyncError && !isSilent && answer === undefined) return undefined;
  const isProxied = reached instanceof SparsyncError ? reached.details['proxy'] !== undefined : reached.udp === 'proxy';
  if (isProxied) {
    yield well('names', `${target.host} is looked up by the proxy`);
    return undefined;
  }
  const addresses = await addressesOf(target.host);
  if ('check' in addresses) {
    yield addresses;
    return undefined;
  }
  yield well('names', `${target.host} is ${addresses.join(', ')}`);
  const ways = { target, options, works: !isSilent };
  yield* await Promise.all([
    ...familiesOf(options).map((family) => examineFamily(family, addresses, ways)),
    ...TRANSPORTS.map((each) => examineTransport(each, ways)),
  ]).then((found) => found.flat());
  return undefined;
}

/** The family of an address; 0 of what is none. */
function familyOf(address: string): number {
  return isIP(address.replace(/%.*$/, ''));
}

async function addressesOf(host: string): Promise<string[] | Finding> {
  if (familyOf(host) !== 0) return [host];
  try {
    return [...new Set((await lookup(host, { all: true })).map(({ address }) => address))];
  } catch (error) {
    const why = messageOf(error);
    const fix = 'is the name spelled right, and does this machine have a name server? An IP address works as well';
    return wrong('problem', 'names', `${host} has no address: ${why}`, fix);
  }
}

/** What is the same for every way to a server. */
interface Ways {
  readonly target: RemoteTarget;
  readonly options: ConnectOptions;
  /** One of them works. */
  readonly works: boolean;
}

/** The families that the options leave. */
function familiesOf({ family, localAddress }: ConnectOptions): (4 | 6)[] {
  const own = localAddress === undefined ? 0 : familyOf(localAddress);
  return ([4, 6] as const).filter((each) => (family ?? each) === each && (own === 0 || own === each));
}

async function examineFamily(family: 4 | 6, addresses: readonly string[], ways: Ways): Promise<Finding[]> {
  const check = `IPv${family}`;
  const own = addresses.filter((address) => familyOf(address) === family);
  const [first] = own;
  if (first === undefined) return [well(check, 'the server has no such address')];
  const answers = await Promise.all(own.map((address) => tried(ways, address)));
  const silent = answers.find((answer) => answer !== undefined);
  if (answers.includes(undefined)) return [well(check, `${own[answers.indexOf(undefined)] ?? first} answers`)];
  const message = `${first} does not answer: ${silent?.message ?? ''}`;
  const fix = `does a route lead there, and does the server listen on it (--listen)?`;
  return [wrong(ways.works ? 'warning' : 'problem', check, message, fix)];
}

const TRANSPORTS = [
  { check: 'UDP', transport: 'quic', without: 'runs go over TCP, slower where packets are lost' },
  { check: 'TCP', transport: 'tcp', without: 'there is no fallback where UDP is blocked' },
] as const;

async function examineTransport(
  { check, transport, without }: (typeof TRANSPORTS)[number],
  ways: Ways,
): Promise<Finding[]> {
  const asked = ways.options.transport ?? 'auto';
  if (asked !== 'auto' && asked !== transport) return [];
  const silent = await tried(ways, ways.target.host, transport);
  const passes = well('MTU', 'datagrams of 1200 bytes get through, which QUIC needs');
  if (silent === undefined) return [well(check, 'gets through'), ...(transport === 'quic' ? [passes] : [])];
  const state = ways.works ? 'warning' : 'problem';
  if (silent.details['reason'] === 'mtu') {
    return [wrong(state, 'MTU', `${silent.message}: ${without}`, 'this is usually set by a VPN or tunnel on the way')];
  }
  const message = ways.works ? `${silent.message}: ${without}` : silent.message;
  return [wrong(state, check, message, 'does a firewall on the way, or the server (--no-tcp), block it?')];
}

/** Why a server is not reached at an address by one transport; `undefined` if it answers, even with a refusal. */
async function tried(
  { target, options }: Ways,
  host: string,
  transport = options.transport,
): Promise<SparsyncError | undefined> {
  const connectTimeoutMs = options.connectTimeoutMs ?? WAY_TIMEOUT_MS;
  // A credential names its server, and would not match one of its addresses.
  const text = credentialText();
  const identity = options.identity ?? (text === undefined ? undefined : { key: parseCredential(text).key });
  const by = { ...options, ...(identity === undefined ? {} : { identity }), transport, connectTimeoutMs };
  const reached = await attempt(async () => (await connect(formatRemote(host, target.port), by)).close());
  return reached instanceof SparsyncError && answerOf(reached) === undefined ? reached : undefined;
}
