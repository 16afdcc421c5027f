import { hostname } from 'node:os';

import { ConfigError } from '../errors.js';
import { invite, issueCredential } from '../invitations.js';
import type { InviteOptions } from '../invitations.js';
import { OPERATIONS } from '../server-options.js';
import type { Operation } from '../server-options.js';
import { configuredFlags } from './configured.js';
import { EXIT } from './exit-codes.js';
import { sizeOf } from './flag-values.js';
import { INVITE_FLAGS, SERVE_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { safe } from './names.js';
import { note, print } from './output.js';
import type { ParsedFlags, Word } from './parse.js';
import { spanMs } from './spans.js';

const PURPOSE = `Creates an invitation for another machine, on the machine of the server. It prints a secret that works once, within
15 minutes, for "sparsync join HOST" on the other machine. A running server accepts that machine from then on, without a restart.
With --credential nobody has to join: the output goes into the environment of a machine that has no place for a key.

example: sparsync invite alice --root backup --prefix alice --allow read,write --address nas.example.net`;

/** `sparsync invite NAME`. */
export async function inviteCommand(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(INVITE_FLAGS, words, {
    tables: { server: SERVE_FLAGS },
    takes: { server: ['authorized-keys', 'identity'] },
  });
  if (flags.on('help')) {
    await print(verbHelp('invite NAME [--root ROOT [--prefix PREFIX]] [OPTIONS]', PURPOSE, INVITE_FLAGS));
    return EXIT.ok;
  }
  const [name, ...rest] = flags.operands;
  if (typeof name !== 'string' || rest.length > 0)
    throw new ConfigError('invite takes one NAME: what to call the client');
  const options = inviteOptions(flags);
  const address = flags.text('address') ?? hostname();
  const json = flags.on('json');
  if (flags.on('credential')) {
    const { credential, key } = await issueCredential(name, address, options);
    if (json) await printJson({ type: 'credential', schema: JSON_SCHEMA, name, key, address, credential });
    else await print(`SPARSYNC_CREDENTIAL=${credential}`);
    note(`shown once; undo: sparsync keys revoke ${safe(name)}`);
    return EXIT.ok;
  }
  const { invitation, serverKey, until } = await invite(name, options);
  if (json) {
    await printJson({ type: 'invitation', schema: JSON_SCHEMA, name, address, invitation, serverKey, until });
  } else {
    note(`one use, ends in 15 min.  On ${safe(name)}'s machine:  sparsync join ${safe(address)}     then paste`);
    await print(invitation);
  }
  return EXIT.ok;
}

function inviteOptions(flags: ParsedFlags): InviteOptions {
  const [root, ...others] = flags.all('root');
  const prefix = flags.text('prefix')?.replace(/^\/+|\/+$/g, '');
  if (prefix !== undefined && (root === undefined || others.length > 0)) {
    throw new ConfigError('--prefix needs exactly one --root: it is a path below that');
  }
  const roots = prefix === undefined || root === undefined ? flags.all('root') : [`${root}/${encoded(prefix)}`];
  return {
    roots: roots.length === 0 ? undefined : roots,
    operations: flags
      .text('allow')
      ?.split(',')
      .map((each) => operationOf(each)),
    quotaBytes: sizeOf(flags, 'quota'),
    entries: flags.number('entries'),
    expires: expiryOf(flags),
    authorizedKeysPath: flags.text('authorized-keys'),
    keyPath: flags.text('identity'),
  };
}

/** A prefix as a line of the file of clients has it. */
function encoded(prefix: string): string {
  return prefix.split('/').map(encodeURIComponent).join('/');
}

function operationOf(word: string): Operation {
  const found = OPERATIONS.find((operation) => operation === word);
  if (found !== undefined) return found;
  throw new ConfigError(
    `--allow has the unknown right ${JSON.stringify(word)}: the rights are ${OPERATIONS.join(', ')}`,
  );
}

/** `90d`, or a day or moment in UTC. */
function expiryOf(flags: ParsedFlags): Date | undefined {
  const text = flags.text('expires');
  if (text === undefined) return undefined;
  const span = spanMs(text);
  const moment = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\dZ)?$/.test(text) ? new Date(text) : undefined;
  const at = span === undefined ? moment : new Date(Date.now() + span);
  if (at !== undefined && at > new Date()) return at;
  throw new ConfigError(
    `--expires must be a time in the future, as in 90d, 12h, 2030-01-31 or 2030-01-31T18:30:00Z, not ${JSON.stringify(text)}`,
  );
}
