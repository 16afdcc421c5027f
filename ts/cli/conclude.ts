import { installedIn } from '../native.js';
import { endOutput, leave } from './output.js';
import { printError } from './report.js';
import { PACKAGE_FOLDER } from './version.js';

/** Runs a command, tells its errors, and ends the process with its exit code. */
export async function conclude(command: () => Promise<number>): Promise<void> {
  installedIn(PACKAGE_FOLDER);
  const exitCode = await command().catch(printError);
  await endOutput();
  leave(exitCode);
}
