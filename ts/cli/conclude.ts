import { installedIn } from '../native.js';
import { endOutput, leave } from './output.js';
import { PACKAGE_FOLDER } from './package.js';

/** Runs a command, tells its errors, and ends the process with its exit code. */
export async function conclude(command: () => Promise<number>): Promise<void> {
  installedIn(PACKAGE_FOLDER);
  const exitCode = await command().catch(told);
  await endOutput();
  leave(exitCode);
}

async function told(error: unknown): Promise<number> {
  const { printError } = await import('./report.js');
  return printError(error);
}
