import { existsSync } from 'node:fs';
import { hostname } from 'node:os';

import { authorizedKeys } from '../authorized-keys.js';
import { defaultKeyPath } from '../config.js';
import { absolute, pathBytes, textOf } from '../paths.js';
import type { Server } from '../server.js';
import type { RootOptions, ServeOptions } from '../server-options.js';
import { DEFAULT_PORT } from '../target.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { safe } from './names.js';
import { flushOutput, note, print, stderr } from './output.js';
import type { ParsedFlags } from './parse.js';

/** A key of this machine, before it is used: its file, and whether that will be made. */
export interface OwnKey {
  /** None of a key that is in no file. */
  readonly path: string | undefined;
  readonly isNew: boolean;
}

/** Looks for the key that will be used. */
export function ownKey(
  identity: { readonly keyPath?: string | undefined; readonly key?: string | undefined } = {},
): OwnKey {
  if (identity.key !== undefined) return { path: undefined, isNew: false };
  const path = identity.keyPath ?? defaultKeyPath();
  return { path, isNew: !existsSync(path) };
}

/** A public key, with where the private one is. */
export function shownKey(publicKey: string, { path, isNew }: OwnKey): string {
  return `${publicKey} (${isNew ? 'created, 0600' : safe(path ?? 'from --identity')})`;
}

/** Prints what is served, where and by which key, and how to let a client in when none may connect. */
export async function announce(
  server: Server,
  options: ServeOptions & { readonly roots: Readonly<Record<string, RootOptions>> },
  key: OwnKey,
  flags: ParsedFlags,
): Promise<void> {
  const { address, port, publicKey } = server;
  const { roots, tcp } = options;
  const isEmpty = await letsNobodyIn(options);
  const json = flags.on('json');
  if (json) {
    await printJson({ type: 'listening', schema: JSON_SCHEMA, address, port, publicKey });
  } else {
    const served = Object.entries(roots).map(
      ([name, { path }]) => `${safe(name)} -> ${safe(textOf(absolute(pathBytes(path, 'a root'))))}`,
    );
    const where = `${tcp === false ? 'udp' : 'udp+tcp'} ${address}`;
    const empty = isEmpty
      ? `  Nobody may connect yet:  sparsync invite NAME --root ${safe(Object.keys(roots)[0] ?? 'ROOT')}`
      : '';
    await print(`serving ${served.join(', ')} on ${where}.  Server key ${shownKey(publicKey, key)}.${empty}`);
  }
  // The parent process waits for this line to learn the port.
  await flushOutput();
  // Who reads a log of JSON reads JSON alone.
  const isLogOfJson = flags.text('log-format') === 'json' && flags.text('log-file') === undefined;
  if (json || isEmpty || isLogOfJson || !(stderr().isTTY || flags.on('verbose'))) return;
  const host = /^(?:\[::\]|0\.0\.0\.0):/.test(address) ? hostname() : undefined;
  note(`on the client, once:   sparsync trust ${server.url(undefined, host).slice('sparsync://'.length)} ${publicKey}`);
  note(`then, for instance:    sparsync -a FOLDER/ ${server.url(Object.keys(roots)[0], host)}`);
  if (port !== DEFAULT_PORT) note(`(without a port in the URL clients use ${DEFAULT_PORT})`);
}

async function letsNobodyIn({ anonymous, allow, clientCa, authorizedKeysPath }: ServeOptions): Promise<boolean> {
  if (anonymous === true || clientCa !== undefined || (allow ?? []).length > 0) return false;
  return (await authorizedKeys({ authorizedKeysPath })).length === 0;
}
