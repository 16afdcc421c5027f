import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import type { ExecutionContext } from 'ava';

/** What was seen: how many looks there were, and how often files of these versions stood together (`1`, `1+2`, `2+missing`). */
export interface Seen {
  readonly looks: number;
  readonly seen: Readonly<Record<string, number>>;
}

/** A process that looks all the time which versions the files of a tree have together. */
export interface TreeReader {
  /** Has it look there from now on; see tree-reader.mjs. */
  readonly lookAt: (place: string) => Promise<void>;
  /** Ends it. */
  readonly end: () => Promise<Seen>;
}

/** Starts one that looks at these files. */
export function startTreeReader(t: ExecutionContext, names: readonly string[]): TreeReader {
  const script = fileURLToPath(new URL('./tree-reader.mjs', import.meta.url));
  const reader = spawn(process.execPath, [script, ...names], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => reader.kill('SIGKILL'));
  let said = '';
  reader.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return {
    lookAt: async (place) => {
      const answered = new Promise((resolve) => void reader.stdout.once('data', resolve));
      reader.stdin.write(`${place}\n`);
      await answered;
    },
    end: async () => {
      const closed = new Promise((resolve) => void reader.once('close', resolve));
      reader.stdin.end();
      await closed;
      return JSON.parse(said) as Seen;
    },
  };
}

/**
 * Fails unless a reader saw the first and the second version of a tree, and neither of them mixed with the other. Of the first, which is removed while the reader
 * may hold it open, a part may be missing.
 */
export function sawOneOrTwo(t: ExecutionContext, { looks, seen }: Seen): void {
  t.log(`${looks} looks: ${JSON.stringify(seen)}`);
  const fine = new Set(['1', '2', '1+missing', 'missing']);
  t.deepEqual(
    Object.keys(seen).filter((versions) => !fine.has(versions)),
    [],
    JSON.stringify(seen),
  );
  t.true((seen['1'] ?? 0) > 0 && (seen['2'] ?? 0) > 0);
}
