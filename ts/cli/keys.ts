import { authorizedKeys, revokeKey } from '../authorized-keys.js';
import type { AuthorizedKey } from '../authorized-keys.js';
import { ConfigError } from '../errors.js';
import { loadNative } from '../native.js';
import { identity } from '../trust.js';
import { identityOption } from './connecting.js';
import { configuredFlags } from './configured.js';
import { EXIT } from './exit-codes.js';
import { KEYS_FLAGS, SERVE_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { note, print } from './output.js';
import { CONNECTING_FLAGS } from './transfer-flags.js';
import type { ParsedFlags, Word } from './parse.js';
import { safe } from './names.js';

const PURPOSE = `Shows the public key of this machine: for --allow on a server, or for clients to pin. The private key is created on first
use, readable by this user only.

On a server:
  keys list           the clients in authorized_keys, and what each may do
  keys show NAME      one of them, by its name or key
  keys revoke NAME    removes it from the file: a running server ends its connections within 5 seconds
  keys rotate         changes the server's key without an alarm at clients: the server announces the next key to them for
                      30 days, or --after TIME, and then uses it. --now uses it at once, --cancel takes it back, and
                      --status shows both keys. A running server takes note within a second. A server whose key systemd
                      hands over does so at its next start, and does not announce the key before`;

/** The verbs that take no name. */
const ALONE: readonly string[] = ['list', 'rotate'];

/** `sparsync keys`. */
export async function keysCommand(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(KEYS_FLAGS, words, {
    tables: { connection: CONNECTING_FLAGS, server: SERVE_FLAGS },
    takes: { server: ['authorized-keys'] },
  });
  if (flags.on('help')) {
    await print(verbHelp('keys [list | show NAME | revoke NAME | rotate]', PURPOSE, KEYS_FLAGS));
    return EXIT.ok;
  }
  const [verb, who, ...rest] = flags.operands.map((word) => {
    if (typeof word === 'string') return word;
    throw new ConfigError('NAME must be UTF-8 text');
  });
  const takesName = verb === 'show' || verb === 'revoke';
  if (
    rest.length > 0 ||
    (who !== undefined) !== takesName ||
    (verb !== undefined && !ALONE.includes(verb) && !takesName)
  ) {
    throw new ConfigError('keys takes nothing, list, show NAME, revoke NAME or rotate');
  }
  if (verb === 'rotate') return (await import('./rotate.js')).rotate(flags);
  if (flags.text('after') !== undefined || ['now', 'cancel', 'status'].some((name) => flags.on(name)))
    throw new ConfigError('--after, --now, --cancel and --status are for keys rotate');
  if (verb === undefined) return showOwn(flags);
  const options = { authorizedKeysPath: flags.text('authorized-keys') };
  const found =
    verb === 'revoke'
      ? await revokeKey(who ?? '', options)
      : (await authorizedKeys(options)).filter(({ name, key }) => who === undefined || who === name || who === key);
  for (const each of found) await show(each, flags.on('json'));
  if (found.length > 0 || verb === 'list') return EXIT.ok;
  note(`there is no client ${safe(who ?? '')}`);
  return EXIT.usage;
}

async function showOwn(flags: ParsedFlags): Promise<number> {
  const given = identityOption(flags).identity;
  if (given !== undefined && 'key' in given) {
    const publicKey = (await loadNative()).publicKeyOf(given.key);
    if (flags.on('json')) await printJson({ type: 'key', schema: JSON_SCHEMA, publicKey, created: false });
    else await print(publicKey);
    return EXIT.ok;
  }
  const own = await identity(given?.keyPath);
  if (flags.on('json')) await printJson({ type: 'key', schema: JSON_SCHEMA, ...own });
  else await print(own.publicKey);
  if (own.created) note(`made a new key: ${own.keyPath}`);
  return EXIT.ok;
}

/** Prints a client like its line in the file, with the defaults that the line leaves out. */
async function show(client: AuthorizedKey, json: boolean): Promise<void> {
  if (json) return printJson({ type: 'client', schema: JSON_SCHEMA, ...client });
  const { name, key, roots, operations, quotaBytes, entries, expires } = client;
  const words = [
    name,
    key,
    ...(roots.length === 0 ? ['(all roots)'] : roots.map((root) => `root=${root}`)),
    `allow=${operations.join(',')}`,
    ...(quotaBytes === undefined ? [] : [`quota=${quotaBytes}`]),
    ...(entries === undefined ? [] : [`entries=${entries}`]),
    ...(expires === undefined ? [] : [`expires=${expires.toISOString()}${expires <= new Date() ? ' (over)' : ''}`]),
  ];
  return print(safe(words.join(' ')));
}
