import { existsSync, readFileSync } from 'node:fs';

import { defaultKnownHostsPath } from '../config.js';
import { ConfigError } from '../errors.js';
import { pinKey, pinnedKeys, unpinKeys } from '../trust.js';
import { EXIT } from './exit-codes.js';
import { TRUST_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { note, print } from './output.js';
import { parseFlags } from './parse.js';
import type { Word } from './parse.js';
import { safe } from './names.js';

const PURPOSE = `Shows the pinned keys of a server, or with KEY pins one, or with --forget removes them. Without HOST it shows
the whole file. HOST may be host, host:port, [address]:port or a sparsync:// URL.`;

/** `sparsync trust`. */
export async function trustCommand(words: readonly Word[]): Promise<number> {
  const flags = parseFlags(TRUST_FLAGS, words);
  if (flags.on('help')) {
    await print(verbHelp('trust [HOST [KEY]] [--forget]', PURPOSE, TRUST_FLAGS));
    return EXIT.ok;
  }
  const knownHosts = flags.text('known-hosts') ?? defaultKnownHostsPath();
  const [host, key, ...rest] = flags.operands.map((word) => {
    if (typeof word === 'string') return word;
    throw new ConfigError('HOST and KEY must be UTF-8 text');
  });
  if (rest.length > 0) throw new ConfigError('trust takes HOST and KEY and nothing else');
  if (flags.on('forget') && (host === undefined || key !== undefined))
    throw new ConfigError('--forget takes HOST alone');

  if (host === undefined) {
    await showFile(knownHosts);
  } else if (flags.on('forget')) {
    if (await unpinKeys(host, { knownHosts })) return EXIT.ok;
    note(`no key is pinned for ${safe(host)}`);
    return EXIT.usage;
  } else if (key === undefined) {
    const pinned = await pinnedKeys(host, { knownHosts });
    for (const each of pinned) {
      if (flags.on('json')) await printJson({ type: 'pin', schema: JSON_SCHEMA, host, key: each });
      else await print(each);
    }
    if (pinned.length > 0) return EXIT.ok;
    note(`no key is pinned for ${safe(host)}; pin one with: sparsync trust ${safe(host)} KEY`);
    return EXIT.usage;
  } else {
    await pinKey(host, key, { knownHosts });
  }
  return EXIT.ok;
}

async function showFile(path: string): Promise<void> {
  if (!existsSync(path)) return;
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line.trim() !== '') await print(safe(line));
  }
}
