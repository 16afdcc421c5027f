#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';

import { keep, kept } from './compiled.js';
import type { After } from './compiled.js';

/** The first digits of the digest of `start.js`, from the build. */
declare const START: string;

/** The exit code of `EXIT.interrupted`, which is in `start.js`. */
const INTERRUPTED = 20;

/** The exports of `start.js`: the modules that other bundles take from it, and the state of its own work. */
interface Started {
  shared: (index: number) => unknown;
  ran: () => After | undefined;
}

/** What `start.js` is: one expression. */
type Start = (
  exports: object,
  require: NodeJS.Require,
  module: { exports: object },
  filename: string,
  dirname: string,
) => void;

// At this signal Node would open its debugger, by which every user of the machine may have this process run code. Who
// handles it otherwise has a listener of its own.
process.on('SIGUSR1', () => {
  if (process.listenerCount('SIGUSR1') === 1) process.exit(INTERRUPTED);
});

const folder = import.meta.dirname;
const file = `${folder}/start.js`;
const found = kept(START);
const script = new Script(readFileSync(file, 'latin1'), { filename: file, cachedData: found?.bytes });
const isOfUse = found !== undefined && script.cachedDataRejected !== true;
// Code that was compiled for a run over a network covers a run on this machine, too, so that is not kept again.
if (!isOfUse || found.after === 'local') process.once('exit', keepCompiled);

const own = { exports: {} };
// The build writes that file.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
(script.runInThisContext() as Start)(own.exports, require, own, file, folder);

/** Gives a bundle that is loaded later the modules of this one. */
export function shared(index: number): unknown {
  return started().shared(index);
}

function started(): Started {
  // The build writes this file, too.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return own.exports as Started;
}

function keepCompiled(code: number): void {
  const after = code === 0 ? started().ran() : undefined;
  if (after !== undefined && !(isOfUse && after === 'local')) keep(START, after, script.createCachedData());
}
