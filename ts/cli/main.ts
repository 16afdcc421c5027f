#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';

import { keep, kept } from './compiled.js';
import type { After } from './compiled.js';

/** The first digits of the digest of `start.js`, from the build. */
declare const START: string;

/** What `start.js` gives: what other bundles take from it, and what it has done. */
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

const folder = import.meta.dirname;
const file = `${folder}/start.js`;
const found = kept(START);
const script = new Script(readFileSync(file, 'latin1'), { filename: file, cachedData: found?.bytes });
const isOfUse = found !== undefined && script.cachedDataRejected !== true;
// What was compiled for a run over a network is all that one of this machine needs, and more.
if (!isOfUse || found.after === 'local') process.once('exit', keepCompiled);

const own = { exports: {} };
// The build writes that file.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
(script.runInThisContext() as Start)(own.exports, require, own, file, folder);

/** Lets a bundle that is loaded later have what this one has. */
export function shared(index: number): unknown {
  return started().shared(index);
}

function started(): Started {
  // As above.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return own.exports as Started;
}

function keepCompiled(code: number): void {
  const after = code === 0 ? started().ran() : undefined;
  if (after !== undefined && !(isOfUse && after === 'local')) keep(START, after, script.createCachedData());
}
