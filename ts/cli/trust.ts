import { existsSync, readFileSync } from 'node:fs';

import { defaultKnownHostsPath } from '../config.js';
import { ConfigError } from '../errors.js';
import { pinKey, pinnedKeys, pinnedServers, unpinKeys } from '../trust.js';
import { configuredFlags } from './configured.js';
import { EXIT } from './exit-codes.js';
import { TRUST_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { note, print } from './output.js';
import { CONNECTING_FLAGS } from './transfer-flags.js';
import type { ParsedFlags, Word } from './parse.js';
import { safe } from './names.js';

const PURPOSE = `Manages the server keys that this user has pinned. HOST may be host, host:port, [address]:port or a sparsync:// URL.

  trust HOST KEY           pins the key of a server; refused if another key is pinned
  trust HOST               shows the pinned keys of a server
  trust list               shows all pinned keys
  trust replace HOST KEY   replaces the pinned keys, after a server got a new one
  trust remove HOST        removes the pinned keys`;

/** Words that are no hosts here. A host of that name can be written as a URL. */
const WORDS: readonly string[] = ['list', 'replace', 'remove'];

/** `sparsync trust`. */
export async function trustCommand(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(TRUST_FLAGS, words, { tables: { connection: CONNECTING_FLAGS } });
  if (flags.on('help')) {
    await print(verbHelp('trust HOST [KEY] | list | replace HOST KEY | remove HOST', PURPOSE, TRUST_FLAGS));
    return EXIT.ok;
  }
  const operands = flags.operands.map((word) => {
    if (typeof word === 'string') return word;
    throw new ConfigError('HOST and KEY must be UTF-8 text');
  });
  const verb = WORDS.includes(operands[0] ?? 'list') ? (operands.shift() ?? 'list') : 'trust';
  const [host, key, ...rest] = operands;
  const knownHosts = flags.text('known-hosts') ?? defaultKnownHostsPath();
  const isComplete = {
    list: host === undefined,
    replace: key !== undefined,
    remove: host !== undefined && key === undefined,
    trust: true,
  }[verb];
  if (rest.length > 0 || isComplete !== true) {
    throw new ConfigError('trust takes HOST [KEY], list, replace HOST KEY or remove HOST');
  }
  if (host === undefined) {
    await showAll(knownHosts, flags.on('json'));
  } else if (verb === 'remove') {
    if (await unpinKeys(host, { knownHosts })) return EXIT.ok;
    note(`no key is pinned for ${safe(host)}`);
    return EXIT.usage;
  } else if (key === undefined) {
    return show(host, knownHosts, flags);
  } else {
    await pinKey(host, key, { knownHosts, replace: verb === 'replace' });
  }
  return EXIT.ok;
}

async function show(host: string, knownHosts: string, flags: ParsedFlags): Promise<number> {
  const pinned = await pinnedKeys(host, { knownHosts });
  for (const each of pinned) {
    if (flags.on('json')) await printJson({ type: 'pin', schema: JSON_SCHEMA, host, key: each });
    else await print(each);
  }
  if (pinned.length > 0) return EXIT.ok;
  note(`no key is pinned for ${safe(host)}; pin one with: sparsync trust ${safe(host)} KEY`);
  return EXIT.usage;
}

/** Shows the file itself, with its comments, or for a program what counts of it. */
async function showAll(path: string, json: boolean): Promise<void> {
  if (json) {
    for (const { authority, key } of await pinnedServers({ knownHosts: path }))
      await printJson({ type: 'pin', schema: JSON_SCHEMA, host: authority, key });
    return;
  }
  if (!existsSync(path)) return;
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line.trim() !== '') await print(safe(line));
  }
}
