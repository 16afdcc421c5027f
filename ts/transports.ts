import { InternalError } from './errors.js';

/** What may carry a run to another machine; see `transport` of {@link ConnectOptions}. */
export type TransportChoice = 'auto' | 'quic' | 'tcp' | 'pipe';

export const TRANSPORT_CHOICES: readonly [TransportChoice, ...TransportChoice[]] = ['auto', 'quic', 'tcp', 'pipe'];

/** What carries a run: nothing, where both ends are on this machine, the pipe of a command, QUIC, or TLS over TCP. */
export type Transport = 'local' | 'pipe' | 'quic' | 'tcp';

export const TRANSPORTS: readonly [Transport, ...Transport[]] = ['local', 'pipe', 'quic', 'tcp'];

/** Why TCP, or a pipe, stands in for UDP: no answer, none lately so that nothing was waited for, a refusal, or a proxy on the way. */
export type UdpOutcome = 'silent' | 'silent-lately' | 'refused' | 'proxy';

const UDP_OUTCOMES: readonly UdpOutcome[] = ['silent', 'silent-lately', 'refused', 'proxy'];

/** The outcome of a word of the native core, which has none where UDP was not tried in vain. */
export function udpOutcomeOf(word: string | null | undefined): { udp?: UdpOutcome } {
  return word === undefined || word === null ? {} : { udp: known('outcome of UDP', word, UDP_OUTCOMES) };
}

/** The transport of a word of the native core; without a connection there is none. */
export function transportOf(word: string | undefined): Transport {
  return word === undefined ? 'local' : known('transport', word, TRANSPORTS);
}

/** A word of the native core. One that is not known here would make a result say what was not. */
function known<Word extends string>(what: string, word: string, words: readonly Word[]): Word {
  const found = words.find((each) => each === word);
  if (found !== undefined) return found;
  throw new InternalError(`unknown ${what} ${JSON.stringify(word)}`, { code: 'ERR_SPARSYNC_INTERNAL' });
}
