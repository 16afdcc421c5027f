import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of this package, found from the folder of the command. */
export const PACKAGE_FOLDER: string = join(import.meta.dirname, '..', '..');

/** The version of this package, from its own manifest, so that it is written in one place only. */
export function packageVersion(): string {
  const manifest: { version: string } = JSON.parse(readFileSync(join(PACKAGE_FOLDER, 'package.json'), 'utf8'));
  return manifest.version;
}
