import { own } from './kinds.mjs';

export const title = 'Connection and trust';

// What they say is read by ts/cli/connecting.ts: these are options of a connection, not of a transfer.
export const rows = [
  {
    kind: own({ value: 'FILE' }),
    flag: 'identity',
    shared: true,
    help: "the private key to identify with (default: this user's key.pem, made when missing)",
  },
  {
    kind: own({ value: 'KEY' }),
    flag: 'pin',
    many: true,
    shared: true,
    help: 'trust the server only with this key (ed25519:…)',
  },
  {
    kind: own({ value: 'FILE' }),
    flag: 'known-hosts',
    shared: true,
    help: "pinned keys by host (default: this user's known_hosts)",
  },
  {
    kind: own({ value: 'FILE' }),
    flag: 'ca',
    shared: true,
    help: 'trust servers with a certificate of this private CA (PEM)',
  },
  {
    kind: own({ value: 'SECONDS' }),
    flag: 'contimeout',
    // The longest that there is: rsync takes the limit away.
    off: '3600',
    shared: true,
    help: 'give up connecting after this time (default: 10)',
  },
  {
    kind: own({ value: 'SECONDS' }),
    flag: 'idle-timeout',
    shared: true,
    help: 'take a connection for lost when nothing arrives for so long (default: 30)',
  },
  { kind: own(), flag: 'ipv4', short: '4', shared: true, help: 'use IPv4 only, to a server and over ssh' },
  { kind: own(), flag: 'ipv6', short: '6', shared: true, help: 'use IPv6 only, to a server and over ssh' },
  {
    kind: own({ value: 'ADDRESS' }),
    flag: 'address',
    shared: true,
    help: 'send from this address of this machine (default: the system chooses)',
  },
  {
    kind: own({ value: 'COMMAND' }),
    flag: 'rsh',
    short: 'e',
    shared: true,
    help: 'the remote shell for HOST:PATH (default: $RSYNC_RSH, or ssh)',
  },
  {
    kind: own({ value: 'PROGRAM' }),
    flag: 'rsync-path',
    aliases: ['remote-path'],
    shared: true,
    help: 'the program to start on the other end of HOST:PATH (default: sparsync-remote)',
  },
  {
    kind: own({ value: 'HOW' }),
    flag: 'bootstrap',
    choices: { list: 'BOOTSTRAPS', from: './flag-values.js' },
    bare: 'keep',
    off: 'no',
    shared: true,
    help: 'install sparsync-remote on the other end of HOST:PATH when it is missing; "temp": for this run only (default: asks on a terminal)',
  },
  {
    kind: own({ value: 'NAME' }),
    flag: 'congestion',
    choices: { list: 'CONGESTIONS', from: '../congestion.js' },
    shared: true,
    help: 'congestion control of what this side sends: auto, bbr or cubic (default: auto)',
  },
  {
    kind: own({ value: 'NAME' }),
    flag: 'transport',
    choices: { list: 'TRANSPORT_CHOICES', from: '../transports.js' },
    shared: true,
    help: 'quic or tcp to a server, quic or pipe over ssh; auto is quic unless UDP gets no answer or $HTTPS_PROXY is set (default: auto)',
  },
  {
    kind: own({ value: 'LOW-HIGH' }),
    flag: 'quic-ports',
    shared: true,
    help: 'UDP ports that the other end of HOST:PATH may choose from (default: any)',
  },
];
