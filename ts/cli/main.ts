#!/usr/bin/env node
import { dispatch } from './dispatch.js';
import { EXIT } from './exit-codes.js';
import { endOutput, leave, print } from './output.js';
import { packageVersion } from './version.js';

const first = process.argv[2];
if (first === '--version' || first === '-V') {
  // Asked by scripts before anything else: answered without looking at the rest.
  void sayVersion();
} else {
  void dispatch();
}

async function sayVersion(): Promise<void> {
  await print(`sparsync ${packageVersion()}`);
  await endOutput();
  leave(EXIT.ok);
}
