import { ConfigError } from '../errors.js';
import { identity } from '../trust.js';
import { EXIT } from './exit-codes.js';
import { KEYS_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { note, print } from './output.js';
import { parseFlags } from './parse.js';
import type { Word } from './parse.js';

const PURPOSE = `Shows the public key of this machine: what a server is given with --allow, and what a client pins. The
private key is made on first use, readable by this user only.`;

/** `sparsync keys`. */
export async function keysCommand(words: readonly Word[]): Promise<number> {
  const flags = parseFlags(KEYS_FLAGS, words);
  if (flags.on('help')) {
    await print(verbHelp('keys [--identity FILE]', PURPOSE, KEYS_FLAGS));
    return EXIT.ok;
  }
  if (flags.operands.length > 0) throw new ConfigError('keys takes no operands');
  const own = await identity(flags.text('identity'));
  if (flags.on('json')) await printJson({ type: 'key', schema: JSON_SCHEMA, ...own });
  else await print(own.publicKey);
  if (own.created) note(`made a new key: ${own.keyPath}`);
  return EXIT.ok;
}
