// The error codes as the sources have them: the engine's kinds with their meaning, the API's codes, the exit codes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './process.mjs';
import { fromSources } from './sources.mjs';

const text = (...path) => readFileSync(join(ROOT, ...path), 'utf8');

/** The engine's kinds: code, meaning. */
export function engineKinds() {
  const [, body] = /error_kinds! \{\n([\s\S]*?)\n\}/.exec(text('crate', 'proto', 'src', 'kind.rs'));
  const kinds = [...body.matchAll(/((?:^\s*\/\/\/.*\n)+)\s*\w+ = \d+, "(\w+)";/gm)];
  return kinds.map(([, documentation, code]) => ({
    code: `ERR_SPARSYNC_${code}`,
    meaning: documentation
      .replace(/^\s*\/\/\/ ?/gm, '')
      .trim()
      .replaceAll('\n', ' '),
  }));
}

/** The codes that the API declares. */
export async function apiCodes() {
  return (await fromSources('ts/codes.ts')).ERROR_CODES;
}

/** The table of docs/errors.md. */
export async function errorTable() {
  const { exitCodeOf } = await fromSources('ts/cli/exit-codes.ts');
  const kinds = [
    ...engineKinds(),
    { code: 'ERR_SPARSYNC_PLATFORM', meaning: 'There is no binary for this platform, or it could not be loaded.' },
  ];
  const rows = kinds.map(({ code, meaning }) => `| \`${code}\` | ${exitCodeOf(code)} | ${meaning} |`);
  return ['| code | exit code | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}
