// Writes the table of codes in docs/errors.md from the sources.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorTable } from './error-table.mjs';
import { mustRun, ROOT, tool } from './process.mjs';

const FILE = join(ROOT, 'docs', 'errors.md');
const [begin, end] = ['<!-- table: npm run docs:errors -->', '<!-- table end -->'];

const document = readFileSync(FILE, 'utf8');
const [before, rest] = document.split(begin);
const [, after] = rest.split(end);
writeFileSync(FILE, `${before}${begin}\n\n${await errorTable()}\n\n${end}${after}`);
await mustRun(tool('prettier'), ['--write', '--log-level', 'warn', FILE]);
