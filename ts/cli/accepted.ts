import { ConfigError } from '../errors.js';
import { sizeOf } from './flag-values.js';
import type { ParsedFlags } from './parse.js';

/** The largest block that rsync knows. */
const BLOCK_BYTES_MAX = 128 * 1024;

/** The least limit on memory that rsync accepts. */
const ALLOC_BYTES_MIN = 1024 * 1024;

/**
 * Checks the values of flags that change nothing here: values that rsync refuses are refused, and so are those that
 * would have to have an effect.
 */
export function checkAccepted(flags: ParsedFlags): void {
  const block = sizeOf(flags, 'block-size') ?? 0;
  if (block > BLOCK_BYTES_MAX) throw new ConfigError('--block-size must be at most 128K');
  const memory = sizeOf(flags, 'max-alloc') ?? 0;
  if (memory > 0 && memory < ALLOC_BYTES_MIN) throw new ConfigError('--max-alloc must be 0 or at least 1M');
  for (const name of ['checksum-seed', 'compress-threads']) flags.number(name, Number.MIN_SAFE_INTEGER);
  checkBuffering(flags.text('outbuf'));
  checkHash(flags.text('checksum-choice'));
  checkConversion(flags.text('iconv'));
  if (flags.on('old-args') && flags.on('secluded-args')) {
    throw new ConfigError('--secluded-args and --old-args cannot be combined: give one of them');
  }
}

function checkBuffering(mode: string | undefined): void {
  if (mode === undefined || /^[nulbf]/i.test(mode)) return;
  throw new ConfigError(`--outbuf must be None, Line or Block, or the first letter of it, not ${JSON.stringify(mode)}`);
}

function checkHash(hashes: string | undefined): void {
  if (hashes === undefined || /^auto(?:,auto)?$/i.test(hashes)) return;
  throw new ConfigError(
    `--checksum-choice must be auto, not ${JSON.stringify(hashes)}: both ends hash content with BLAKE3, and with nothing else`,
  );
}

/** Only the conversion of a character set to itself is accepted: it changes nothing. */
function checkConversion(sets: string | undefined): void {
  const [here = '', there = here] = (sets ?? '-').split(',').map((set) => set.toLowerCase().replaceAll('-', ''));
  const isOne = here === there && (sets ?? '').includes(',');
  if (isOne || ((here === '' || here === '.') && here === there)) return;
  throw new ConfigError(`--iconv=${sets} is not supported: names are bytes, and arrive as they are`);
}
