import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';

import { defaultKnownHostsPath, variable } from '../config.js';
import { ConfigError } from '../errors.js';
import { join } from '../invitations.js';
import { ownKey, shownKey } from './announce.js';
import { contimeoutOf, identityOption } from './connecting.js';
import { configuredFlags } from './configured.js';
import { EXIT } from './exit-codes.js';
import { terminalLines } from './asking.js';
import { JOIN_FLAGS, SSH } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { safe } from './names.js';
import { note, print, stderr } from './output.js';
import { CONNECTING_FLAGS } from './transfer-flags.js';
import type { ParsedFlags, Word } from './parse.js';

const PURPOSE = `Accepts an invitation: this machine becomes a client of the server at HOST. Paste what "sparsync invite" printed there.
Without a terminal it is read from SPARSYNC_INVITATION or standard input, but never from the command line, which others can
see. The server must have the key that the invitation names; that key is pinned then. Without an invitation, for those who
can run commands there over ssh:

  sparsync join --via-ssh root@nas.example --root backup --prefix alice --allow read,write

creates one there with these flags, and accepts it. HOST[:PORT] is needed as well if sparsync does not answer at that
host's usual port.`;

/** `sparsync join HOST`. */
export async function joinCommand(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(JOIN_FLAGS, words, { tables: { connection: CONNECTING_FLAGS } });
  if (flags.on('help')) {
    await print(verbHelp('join HOST[:PORT] | --via-ssh [USER@]HOST [HOST[:PORT]]', PURPOSE, JOIN_FLAGS));
    return EXIT.ok;
  }
  const [given, ...rest] = flags.operands;
  const isViaSsh = flags.text('via-ssh') !== undefined;
  if ((typeof given !== 'string' && !(isViaSsh && given === undefined)) || rest.length > 0) {
    throw new ConfigError(
      'join takes HOST alone: the invitation is asked for, or read from SPARSYNC_INVITATION or stdin',
    );
  }
  const stray = JOIN_FLAGS.filter(({ category, name }) => category === SSH && name !== 'via-ssh' && name !== 'rsh');
  for (const { name } of isViaSsh ? [] : stray) {
    if (flags.words(name).length > 0) throw new ConfigError(`--${name} needs --via-ssh`);
  }
  const invited = isViaSsh ? await viaSsh(flags) : undefined;
  const address = given ?? invited?.host ?? '';
  const own = identityOption(flags);
  const ownKeyWas = ownKey(own.identity);
  const joined = await join(address, invited?.invitation ?? (await invitationText()), {
    ...own,
    knownHosts: flags.text('known-hosts'),
    connectTimeoutMs: contimeoutOf(flags),
  });
  if (flags.on('json')) {
    await printJson({ type: 'joined', schema: JSON_SCHEMA, ...joined });
    return EXIT.ok;
  }
  const { name, key, roots } = joined;
  const pins = safe(flags.text('known-hosts') ?? defaultKnownHostsPath());
  const known = `server key confirmed by the invitation -> ${pins}`;
  await print(`joined as ${safe(name)}: ${known}.  Your key ${shownKey(key, ownKeyWas)}.`);
  note(`Try:  sparsync -an --stats ./data/ sparsync://${safe(address)}/${safe(roots[0] ?? 'ROOT')}/data/`);
  return EXIT.ok;
}

/** The flags of `invite` that are passed to the other machine unchanged. */
const PASSED = ['root', 'prefix', 'allow', 'quota', 'entries', 'expires'] as const;

async function viaSsh(flags: ParsedFlags): Promise<{ invitation: string; host: string }> {
  const { invitationViaSsh } = await import('../via-ssh.js');
  return invitationViaSsh({
    place: flags.text('via-ssh') ?? '',
    words: PASSED.flatMap((flag) => flags.all(flag).map((value) => `--${flag}=${value}`)),
    name: flags.text('name'),
    rsh: flags.text('rsh'),
    program: flags.text('sparsync-path'),
    // A setting for all connections must not end ssh while it asks for a password.
    connectTimeoutMs: flags.isSetting('contimeout') ? undefined : contimeoutOf(flags),
  });
}

async function invitationText(): Promise<string> {
  const given = variable('SPARSYNC_INVITATION');
  if (given !== undefined) return given.trim();
  const text = process.stdin.isTTY ? await asked() : readFileSync(0, 'utf8');
  if (text.trim() !== '') return text.trim();
  throw new ConfigError('there is no invitation: paste it, or give it in SPARSYNC_INVITATION or on standard input');
}

/** Asks at the terminal. The pasted text is not shown. */
async function asked(): Promise<string> {
  const lines = await terminalLines(new Writable({ write: (_chunk, _encoding, done) => done() }));
  stderr().write('invitation (it is not shown): ');
  try {
    for await (const line of lines) return line;
    return '';
  } finally {
    lines.close();
    stderr().write('\n');
  }
}
