// Options of rsync that cannot matter here: they are taken, and their values are looked at (ts/cli/accepted.ts), so that a
// command line which has them works unchanged.
import { own } from './kinds.mjs';

export const title = 'Accepted';

const accepted = (flag, why, more = {}) => ({ kind: own(), flag, hidden: true, help: `accepted: ${why}`, ...more });
const valued = (flag, value, why, more) => accepted(flag, why, { kind: own({ value }), ...more });

const FOLLOWS = 'the sizes of parts follow from content';
const LANES = 'each lane compresses what it sends';
const BYTES = 'arguments travel as bytes, and no shell reads them';
const ONE_HASH = 'auto is BLAKE3, which is the hash that there is';

export const rows = [
  valued('debug', 'FLAGS', 'there is nothing to say', { many: true }),
  accepted('inc-recursive', 'it changes what the first line says', { aliases: ['i-r'] }),
  valued('block-size', 'SIZE', FOLLOWS, { short: 'B' }),
  valued('max-alloc', 'SIZE', 'memory is bounded whatever the trees hold'),
  valued('outbuf', 'MODE', 'lines are written as they come'),
  valued('checksum-choice', 'NAME', ONE_HASH, { aliases: ['cc'] }),
  valued('checksum-seed', 'NUM', 'the hash takes none'),
  valued('compress-threads', 'NUM', LANES, { aliases: ['zt'] }),
  valued('iconv', 'CONVERT', 'names are bytes, and arrive as they are', { off: '-' }),
  accepted('motd', 'a server says nothing of the day'),
  accepted('blocking-io', 'a remote shell has pipes of its own'),
  accepted('old-args', BYTES),
  accepted('secluded-args', BYTES, { short: 's', aliases: ['protect-args'] }),
  accepted('trust-sender', 'what a sender lists is checked in any case, and costs nothing'),
];
