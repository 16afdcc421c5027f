import { ConfigError } from '../errors.js';
import { rotateKey, serverKey } from '../key-rotation.js';
import { identityOption } from './connecting.js';
import { EXIT } from './exit-codes.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { print } from './output.js';
import type { ParsedFlags } from './parse.js';
import { spanMs } from './spans.js';

/** `sparsync keys rotate`. */
export async function rotate(flags: ParsedFlags): Promise<number> {
  const given = identityOption(flags).identity;
  if (given !== undefined && 'key' in given) throw new ConfigError('keys rotate takes a file as --identity');
  const keyPath = given?.keyPath;
  const [now, cancel, status] = [flags.on('now'), flags.on('cancel'), flags.on('status')];
  const afterMs = spanOf(flags);
  if ([now, cancel, status, afterMs !== undefined].filter(Boolean).length > 1)
    throw new ConfigError('--after, --now, --cancel and --status cannot be combined');
  const found = status ? await serverKey(keyPath) : await rotateKey({ keyPath, afterMs, now, cancel });
  const { publicKey, next } = found;
  if (flags.on('json')) {
    await printJson({ type: 'server-key', schema: JSON_SCHEMA, ...found });
  } else {
    await print(`the server shows ${publicKey}`);
    await print(next === undefined ? 'no next key is set' : `from ${next.from.toISOString()} on ${next.publicKey}`);
  }
  return EXIT.ok;
}

function spanOf(flags: ParsedFlags): number | undefined {
  const text = flags.text('after');
  if (text === undefined) return undefined;
  const span = spanMs(text);
  if (span !== undefined) return span;
  throw new ConfigError(`--after must be a time span, as in 30d or 12h, not ${JSON.stringify(text)}`);
}
