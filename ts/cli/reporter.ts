import { ConfigError } from '../errors.js';
import type { ParsedFlags } from './parse.js';

/** How a run tells what it did: as rsync does, as JSON, or so that a job of GitHub Actions shows it. */
export const REPORTERS = ['pretty', 'json', 'github'] as const;

type Reporter = (typeof REPORTERS)[number];

let inUse: Reporter = process.env['GITHUB_ACTIONS'] === 'true' ? 'github' : 'pretty';

/** The reporter of this process: on GitHub Actions its own, unless a flag names another. */
export function reporter(): Reporter {
  return inUse;
}

/** Takes the reporter that flags name. `--json` is one of them. */
export function chooseReporter(flags: ParsedFlags): void {
  const named = flags.choice('reporter', REPORTERS);
  if (!flags.on('json')) inUse = named ?? inUse;
  else if (named === undefined || named === 'json') inUse = 'json';
  else throw new ConfigError(`--json and --reporter=${named} cannot be combined: give one of them`);
}
