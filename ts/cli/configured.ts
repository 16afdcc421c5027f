import { settingVariables } from '../config.js';
import { configFiles } from './config-places.js';
import type { Table, Tables } from './config-values.js';
import { parseFlags } from './parse.js';
import type { Flag, ParsedFlags, Word } from './parse.js';

/** What a verb reads out of files and out of the environment. */
export interface Configured {
  readonly tables: Tables;
  /** For some tables, the flags that this verb takes; of other tables it takes all that it has. */
  readonly takes?: Readonly<Partial<Record<Table, readonly string[]>>>;
  /** Why flags that others know are none here. */
  readonly foreign?: () => Promise<Readonly<Record<string, string>>>;
  /** A file of the working directory counts. */
  readonly project?: boolean;
}

/** Parses a command line, and adds settings of the environment and of files for flags that it does not mention. */
export async function configuredFlags(
  flags: readonly Flag[],
  words: readonly Word[],
  { foreign, project, ...reads }: Configured,
): Promise<ParsedFlags> {
  const parsed = await parsedFlags(flags, words, foreign);
  if (parsed.on('help')) return parsed;
  const files = configFiles(parsed.text('config'), project === true);
  if (files.length > 0 || settingVariables().length > 0) {
    await (await import('./config-layers.js')).fill(parsed, flags, files, reads);
  }
  return parsed;
}

/** The reasons for unknown flags are loaded only when there is one. */
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
