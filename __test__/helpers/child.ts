// A program of its own process, whose ways to end are looked at.
import { fileURLToPath } from 'node:url';

import type { ExecutionContext } from 'ava';

import { type Ended, start } from './process.js';

const childScript = fileURLToPath(new URL('child.mjs', import.meta.url));

/** Runs a mode of helpers/child.mjs in a process of its own. */
export function child(
  t: ExecutionContext,
  mode: string,
  facts: { readonly source?: string; readonly destination?: string; readonly options?: object },
  under: readonly string[] = [],
): Promise<Ended> {
  const argv = [...under, process.execPath, childScript, JSON.stringify({ mode, ...facts })];
  return start(t, argv[0] ?? process.execPath, argv.slice(1)).ended;
}
