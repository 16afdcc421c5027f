/** What may carry a run to another machine; see `transport` of {@link ConnectOptions}. */
export type TransportChoice = 'auto' | 'quic' | 'tcp' | 'pipe';

export const TRANSPORT_CHOICES: readonly [TransportChoice, ...TransportChoice[]] = ['auto', 'quic', 'tcp', 'pipe'];

/** What carries a run: nothing, where both ends are on this machine, the pipe of a command, QUIC, or TLS over TCP. */
export type Transport = 'local' | 'pipe' | 'quic' | 'tcp';

export const TRANSPORTS: readonly [Transport, ...Transport[]] = ['local', 'pipe', 'quic', 'tcp'];

/** Why TCP, or a pipe, stands in for UDP: no answer, none lately so that nothing was waited for, a refusal, or a proxy on the way. */
export type UdpOutcome = 'silent' | 'silent-lately' | 'refused' | 'proxy';

const UDP_OUTCOMES: readonly UdpOutcome[] = ['silent', 'silent-lately', 'refused', 'proxy'];

/** The outcome of a word of the native core. */
export function udpOutcomeOf(word: string | null): { udp?: UdpOutcome } {
  const udp = UDP_OUTCOMES.find((each) => each === word);
  return udp === undefined ? {} : { udp };
}

/** The transport of a word of the native core. */
export function transportOf(word: string | undefined): Transport {
  return TRANSPORTS.find((each) => each === word) ?? 'local';
}
