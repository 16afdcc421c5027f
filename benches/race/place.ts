// Where the benches find what they run, and a stage without a race.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Stage } from './contender.js';
import type { Link } from './links.js';

/** The repository's top folder, without a slash at the end. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Folder of the programs that `benches/Cargo.toml` builds. */
export const PROGRAMS = process.env['BENCH_PROGRAMS'] ?? join(ROOT, 'target/release');

/** What a server needs of a stage. */
export type Place = Pick<Stage, 'link' | 'work' | 'destinations' | 'root'>;

/** A place below a work folder. */
export function besideLink(link: Link, work: string): Place {
  const destinations = join(work, 'destinations');
  mkdirSync(destinations, { recursive: true });
  return { link, work, destinations, root: ROOT };
}

/** Says which targets are met; one that is not makes the program fail. */
export function judge(targets: ReadonlyArray<readonly [string, boolean]>): void {
  for (const [target, met] of targets) console.log(`${met ? 'met    ' : 'NOT MET'} ${target}`);
  if (targets.some(([, met]) => !met)) process.exitCode = 1;
}
