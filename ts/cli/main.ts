#!/usr/bin/env node
import { dispatch } from './dispatch.js';
import { packageVersion } from './version.js';

const first = process.argv[2];
if (first === '--version' || first === '-V') {
  // Asked by scripts before anything else: answered without looking at the rest.
  process.stdout.write(`sparsync ${packageVersion()}\n`);
} else {
  void dispatch();
}
