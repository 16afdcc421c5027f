import { tellWritable } from '../own-file.js';
import { commandLine } from './arguments.js';
import { conclude } from './conclude.js';
import { safe } from './names.js';
import { note } from './output.js';
import { syncCommand } from './sync.js';
import { COMMANDS } from './verbs.js';
import type { Verb } from './verbs.js';

/** Runs what the command line asks for. A verb is one only as the exact first word: a folder of that name is `./serve`. */
export function dispatch(): Promise<void> {
  tellWritable((message) => note(`sparsync: ${safe(message)}`));
  const words = commandLine();
  const first = words[0];
  if (!isVerb(first)) return conclude(() => syncCommand(words));
  return conclude(async () => (await COMMANDS[first]())(words.slice(1)));
}

function isVerb(word: unknown): word is Verb {
  return typeof word === 'string' && Object.hasOwn(COMMANDS, word);
}
