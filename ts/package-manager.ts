import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The lockfile that each package manager leaves, and its command to add a package. */
const BY_LOCKFILE: readonly (readonly [string, string])[] = [
  ['pnpm-lock.yaml', 'pnpm add'],
  ['yarn.lock', 'yarn add'],
  ['bun.lock', 'bun add'],
  ['bun.lockb', 'bun add'],
  ['package-lock.json', 'npm install'],
];

/**
 * The command that adds a package where a file of this one was installed, by the package manager that did so. `file` is a path or
 * a `file:` URL.
 */
export function addCommand(file: string, name: string): string {
  const path = file.startsWith('file:') ? decodeURIComponent(new URL(file).pathname) : file;
  for (let folder = dirname(path); dirname(folder) !== folder; folder = dirname(folder)) {
    const found = BY_LOCKFILE.find(([lockfile]) => existsSync(join(folder, lockfile)));
    if (found !== undefined) return `${found[1]} ${name}`;
  }
  return `npm install ${name}`;
}
