import { existsSync } from 'node:fs';
import { hostname } from 'node:os';

import { defaultAuthorizedKeysPath } from '../config.js';
import { CONGESTIONS } from '../congestion.js';
import { ConfigError } from '../errors.js';
import { serve } from '../server.js';
import type { Server } from '../server.js';
import { OPERATIONS } from '../server-options.js';
import type { AllowedClient, Operation, RootOptions, ServeOptions } from '../server-options.js';
import { textOf } from '../paths.js';
import type { ProfileRecord } from '../profile.js';
import { DEFAULT_PORT, formatRemote } from '../target.js';
import { DURABILITIES } from '../words.js';
import { pemFile } from './connecting.js';
import { EXIT } from './exit-codes.js';
import { SERVE_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { flushOutput, note, print, stderr } from './output.js';
import { parseFlags } from './parse.js';
import { ProfileFile } from './profile-file.js';
import type { ParsedFlags, Word } from './parse.js';
import { onSignals } from './signals.js';
import { safe } from './names.js';

const PURPOSE = `Offers folders to the clients whose keys are allowed, until SIGINT or SIGTERM, which let transfers finish
or roll them back. Clients show their key by "sparsync keys".

example: sparsync serve --root backup=/srv/backup --allow laptop=ed25519:…,root=backup/laptop,allow=read+write+delete`;

/** `sparsync serve`. */
export async function serveCommand(words: readonly Word[]): Promise<number> {
  const flags = parseFlags(SERVE_FLAGS, words);
  if (flags.on('help')) {
    await print(verbHelp('serve --root NAME=PATH [--allow NAME=KEY]... [OPTIONS]', PURPOSE, SERVE_FLAGS));
    return EXIT.ok;
  }
  if (flags.operands.length > 0)
    throw new ConfigError('serve takes no operands: a folder is offered by --root NAME=PATH');
  const graceMs = (flags.number('grace') ?? 10) * 1000;
  const profiles = new ProfileFile(flags.text('profile'));
  const profile = profiles.isWanted ? (record: ProfileRecord): void => profiles.add(record) : undefined;
  const server = await serve({ ...serveOptions(flags), profile });
  const removeHandlers = onSignals(EXIT.interrupted, () => {
    // A failure of closing is what `closed` below rejects with.
    server.close({ graceMs }).catch(() => undefined);
  });
  try {
    await announce(server, flags);
    await server.closed();
    return EXIT.ok;
  } finally {
    removeHandlers();
  }
}

async function announce(server: Server, flags: ParsedFlags): Promise<void> {
  const { address, port, publicKey } = server;
  if (flags.on('json')) await printJson({ type: 'listening', schema: JSON_SCHEMA, address, port, publicKey });
  else await print(`listening on ${address} with key ${publicKey}`);
  // Whoever started this reads the line to learn the port, and waits for it.
  await flushOutput();
  if (flags.on('json') || !(stderr().isTTY || flags.on('verbose'))) return;
  const root = flags.all('root')[0]?.replace(/=.*$/s, '') ?? 'root';
  const authority = formatRemote(hostname(), port).slice('sparsync://'.length);
  note(`on the client, once:   sparsync trust ${authority} ${publicKey}`);
  note(`then, for instance:    sparsync -a FOLDER/ ${formatRemote(hostname(), port, root)}`);
  if (port !== DEFAULT_PORT) note(`(without a port in the URL clients use ${DEFAULT_PORT})`);
}

function serveOptions(flags: ParsedFlags): ServeOptions {
  const keyPath = flags.text('identity');
  const allow = flags.all('allow').map(parseAllow);
  const anonymous = flags.on('anonymous');
  const authorizedKeysPath = flags.text('authorized-keys') ?? existing(defaultAuthorizedKeysPath);
  const clientCa = pemFile(flags, 'client-ca');
  if (!anonymous && allow.length === 0 && authorizedKeysPath === undefined && clientCa === undefined) {
    throw new ConfigError('nobody could connect: give --allow NAME=KEY, --authorized-keys FILE or --client-ca FILE');
  }
  return {
    roots: Object.fromEntries(
      flags.words('root').map((word) =>
        parseRoot(word, {
          readOnly: flags.on('read-only'),
          fakeSuper: flags.on('fake-super'),
          exclude: flags.words('exclude'),
          mungeLinks: flags.on('munge-links'),
        }),
      ),
    ),
    listen: flags.text('listen') ?? `[::]:${DEFAULT_PORT}`,
    ...(keyPath === undefined ? {} : { identity: { keyPath } }),
    allow,
    authorizedKeysPath,
    clientCa,
    anonymous,
    durability: flags.choice('durability', DURABILITIES),
    maxSessions: flags.number('max-sessions', 1),
    congestion: flags.choice('congestion', CONGESTIONS),
    refuse: flags.all('refuse'),
  };
}

/** The file of allowed clients that is used when none is named. There is none without a home folder. */
function existing(defaultPath: () => string): string | undefined {
  try {
    const path = defaultPath();
    return existsSync(path) ? path : undefined;
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

function parseRoot(word: Word, rest: Omit<RootOptions, 'path'>): [string, RootOptions] {
  const bytes = typeof word === 'string' ? Buffer.from(word) : Buffer.from(word);
  const equals = bytes.indexOf('=');
  if (equals < 1 || equals === bytes.length - 1) {
    throw new ConfigError(`--root must be NAME=PATH, not ${JSON.stringify(safe(textOf(bytes)))}`);
  }
  return [textOf(bytes.subarray(0, equals)), { path: bytes.subarray(equals + 1), ...rest }];
}

/** `NAME=KEY[,root=ROOT[/PREFIX]]...[,allow=OPERATION+OPERATION][,quota=BYTES][,entries=NUM]` */
function parseAllow(value: string): AllowedClient {
  const [first = '', ...rest] = value.split(',');
  const equals = first.indexOf('=');
  if (equals < 1) throw new ConfigError(`--allow must be NAME=KEY[,root=…][,allow=…], not ${JSON.stringify(value)}`);
  const client: AllowedClient = { name: first.slice(0, equals), key: first.slice(equals + 1) };
  const roots: string[] = [];
  for (const part of rest) {
    const [name = '', setting = ''] = part.split(/=(.*)/s);
    if (name === 'root') roots.push(setting);
    else if (name === 'allow') client.operations = setting.split('+').map(parseOperation);
    else if (name === 'quota') client.quotaBytes = parseAmount(setting);
    else if (name === 'entries') client.entries = parseAmount(setting);
    else
      throw new ConfigError(
        `--allow has the unknown part ${JSON.stringify(part)}: known are root, allow, quota and entries`,
      );
  }
  if (roots.length > 0) client.roots = roots;
  return client;
}

function parseOperation(word: string): Operation {
  const operation = OPERATIONS.find((known) => known === word);
  if (operation === undefined) {
    throw new ConfigError(
      `--allow has the unknown operation ${JSON.stringify(word)}: known are ${OPERATIONS.join(', ')}`,
    );
  }
  return operation;
}

/** A count, or with K, M, G or T at its end so many times 1024, as in the file of authorised keys. */
function parseAmount(text: string): number {
  const match = /^(\d+)([KMGT]?)$/.exec(text);
  const value =
    match === null ? Number.NaN : Number(match[1]) * 1024 ** ' KMGT'.indexOf(match[2] === '' ? ' ' : (match[2] ?? ' '));
  if (!Number.isSafeInteger(value))
    throw new ConfigError(`${JSON.stringify(text)} is not an amount, as in 500M or 10G`);
  return value;
}
