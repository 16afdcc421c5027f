import { spawnSync } from 'node:child_process';

import type { ExecutionContext } from 'ava';

/** Two networks that have nothing in common until they are linked. */
export interface Networks {
  readonly near: string;
  readonly far: string;
  /** Runs `ip`, and asserts that it succeeds. */
  readonly ip: (words: string) => void;
}

/** Makes two network namespaces for the time of a test; `prefix` tells those of its spec from others'. */
export function networks(t: ExecutionContext, prefix: string): Networks {
  const [near, far] = ['n', 'f'].map((end) => `${prefix}-${end}-${process.pid}`) as [string, string];
  const ip = (words: string): void => void t.is(spawnSync('ip', words.split(' ')).status, 0, words);
  for (const name of [near, far]) {
    ip(`netns add ${name}`);
    t.teardown(() => void spawnSync('ip', ['netns', 'del', name]));
  }
  return { near, far, ip };
}
