import { configFiles } from './config-places.js';
import type { Table, Tables } from './config-values.js';
import { parseFlags } from './parse.js';
import type { Flag, ParsedFlags, Word } from './parse.js';

/** What a verb reads out of files. */
export interface Configured {
  readonly tables: Tables;
  /** The flags that count of some tables; of others all that the verb has do. */
  readonly takes?: Readonly<Partial<Record<Table, readonly string[]>>>;
  /** Why flags that others know are none here. */
  readonly foreign?: () => Promise<Readonly<Record<string, string>>>;
  /** A file of the working directory counts. */
  readonly project?: boolean;
}

/** Takes a command line apart, and adds what files of settings say where it says nothing. */
export async function configuredFlags(
  flags: readonly Flag[],
  words: readonly Word[],
  { foreign, project, ...reads }: Configured,
): Promise<ParsedFlags> {
  const parsed = await parsedFlags(flags, words, foreign);
  if (parsed.on('help')) return parsed;
  const files = configFiles(parsed.text('config'), project === true);
  if (files.length > 0) await (await import('./config-file.js')).fill(parsed, flags, files, reads);
  return parsed;
}

/** Why a flag is none is looked for only where there is one that is none. */
async function parsedFlags(
  flags: readonly Flag[],
  words: readonly Word[],
  foreign: Configured['foreign'],
): Promise<ParsedFlags> {
  try {
    return parseFlags(flags, words);
  } catch (error) {
    if (foreign === undefined) throw error;
    return parseFlags(flags, words, await foreign());
  }
}
