#!/usr/bin/env node
import { packageVersion } from './version.js';

const first = process.argv[2];
if (first === '--version' || first === '-V') {
  // Asked by scripts before anything else: answered without loading what a transfer needs.
  process.stdout.write(`sparsync ${packageVersion()}\n`);
} else {
  const { dispatch } = await import('./dispatch.js');
  process.exitCode = await dispatch();
}
