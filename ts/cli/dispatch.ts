import { commandLine } from './arguments.js';
import { conclude } from './conclude.js';
import { syncCommand } from './sync.js';
import type { Verb } from './verbs.js';

/** The words that are verbs. */
const VERBS: ReadonlySet<unknown> = new Set<Verb>([
  'serve',
  'invite',
  'join',
  'keys',
  'trust',
  'verify',
  'profile',
  'doctor',
  'config',
  'server',
  'completion',
]);

/** Runs what the command line asks for. A verb is one only as the exact first word: a folder of that name is `./serve`. */
export async function dispatch(): Promise<void> {
  const words = commandLine();
  const first = words[0];
  if (!isVerb(first)) return conclude(() => syncCommand(words));
  // A file of its own: most runs are a sync, and are not to pay for the rest.
  const { runVerb } = await import('./verbs.js');
  return runVerb(first, words.slice(1));
}

function isVerb(word: unknown): word is Verb {
  return VERBS.has(word);
}
