import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ExecutionContext } from 'ava';

/** Trees are made in memory where the machine offers that: thousands of small files, made and removed in every test. */
export const base: string = process.env['SPARSYNC_TEST_DIR'] ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir());

let ofProcess: string | undefined;

/**
 * The folder of this test process. Made when first asked for, gone at exit.
 */
function processDir(): string {
  if (ofProcess === undefined) {
    const made = mkdtempSync(join(base, 'sparsync-test-'));
    ofProcess = made;
    process.on('exit', () => {
      if (process.env['SPARSYNC_TEST_KEEP'] === undefined) remove(made);
    });
  }
  return ofProcess;
}

// No test reads or writes the keys, pins and locks of the person who runs it.
// What tests look at is what people see, also where the tests themselves are a job of GitHub Actions.
delete process.env['GITHUB_ACTIONS'];
process.env['SPARSYNC_CONFIG_DIR'] = join(processDir(), 'config');
process.env['SPARSYNC_STATE_DIR'] = join(processDir(), 'state');
mkdirSync(process.env['SPARSYNC_CONFIG_DIR'], { recursive: true });
mkdirSync(process.env['SPARSYNC_STATE_DIR'], { recursive: true });

/** Removes a tree whatever its names and modes are. */
export function remove(path: string): void {
  execFileSync('sh', ['-c', 'chmod -R u+rwx -- "$1" 2>/dev/null; rm -rf -- "$1"', 'remove', path]);
}

/**
 * A fresh folder, removed when the test ends. A failed test names the seed anyway; to look at what it left, run it
 * with `SPARSYNC_TEST_KEEP=1`.
 */
export function workDir(t: ExecutionContext): string {
  const path = mkdtempSync(join(processDir(), 'work-'));
  t.teardown(() => {
    if (process.env['SPARSYNC_TEST_KEEP'] === undefined) remove(path);
    else t.log(`kept ${path}`);
  });
  return path;
}

/**
 * A fresh folder on a disk, where the machine has one under `/var/tmp`: what a file system does later than in memory
 * shows only there. Removed when the test ends.
 */
export function diskDir(t: ExecutionContext): string {
  const path = mkdtempSync(join(existsSync('/var/tmp') ? '/var/tmp' : tmpdir(), 'sparsync-test-'));
  t.teardown(() => remove(path));
  return path;
}

/** A fresh folder named `name` in `parent`. */
export function dir(parent: string, name: string): string {
  const path = join(parent, name);
  mkdirSync(path, { recursive: true });
  return path;
}
