import { spawn } from 'node:child_process';

import { ConfigError } from '../errors.js';
import { remotePrograms, ownMachine } from '../remote-program.js';

/**
 * `sparsync --stdio`: the other end of a sync, on the standard streams. The package's own executable is that, with whatever is said
 * besides.
 */
export async function stdioCommand(args: readonly string[]): Promise<number> {
  const program = remotePrograms().find(({ machine }) => machine === ownMachine());
  if (program === undefined) throw new ConfigError('sparsync-remote is not installed with this package');
  // Ctrl-C at a terminal that both ends share is the other one's to answer: it closes the pipe.
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  const child = spawn(program.path, [...args], { stdio: 'inherit' });
  const stop = (signal: NodeJS.Signals): boolean => child.kill(signal);
  process.on('SIGTERM', stop).on('SIGHUP', stop);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
