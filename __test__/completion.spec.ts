// What shells complete, asked of the shells themselves where they are installed.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { cli, exit } from './helpers/cli.js';
import { client } from './helpers/product.js';
import { workDir } from './helpers/temp.js';

const verbs = 'serve server invite join keys trust list verify profile doctor config completion'.split(' ');

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'exit 0']).status === 0;

/** The command line up to the word that is completed, and what must be offered for it; `not` must not. */
const cases: ReadonlyArray<{ line: string; offers: readonly string[]; not?: readonly string[] }> = [
  { line: 'sparsync ser', offers: ['serve'], not: ['invite'] },
  { line: 'sparsync --exclude-f', offers: ['--exclude-from'], not: ['--exclude'] },
  { line: 'sparsync serve --met', offers: ['--metrics'] },
  { line: 'sparsync --met', offers: [], not: ['--metrics'] },
  { line: 'sparsync --compress=al', offers: ['always'], not: ['auto'] },
  { line: 'sparsync --durability f', offers: ['file'], not: ['run'] },
  { line: 'sparsync serve --log-format ', offers: ['json', 'text'] },
  { line: 'sparsync keys ', offers: ['list', 'revoke', 'show'] },
  { line: 'sparsync completion f', offers: ['fish'], not: ['bash'] },
  { line: 'sparsync -a a', offers: ['a file'], not: ['bash'] },
  { line: 'sparsync --exclude-from a', offers: ['a file'] },
  { line: 'sparsync --backup-dir a', offers: ['a folder'], not: ['a file'] },
  { line: 'sparsync verify --exclude-f', offers: ['--exclude-from'], not: ['--delete'] },
];

/** Words as bash takes them apart; a blank at the end begins a word. */
function bashWords(line: string): string[] {
  return line
    .split(/(=)| /)
    .filter((word, index, all) => word !== undefined && (word !== '' || index === all.length - 1));
}

test('bash completes verbs, flags, values and files', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const printed = await cli(t, user, ['completion', 'bash']);
  t.is(printed.code, exit.ok, printed.stderr);
  t.is(printed.stderr, '');
  writeFileSync(`${work}/a file`, '');
  mkdirSync(`${work}/a folder`);
  for (const { line, offers, not = [] } of cases) {
    const words = bashWords(line);
    const script = `${printed.stdout}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_sparsync
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const ran = spawnSync('bash', ['--norc', '-uc', script, 'bash', ...words], {
      cwd: work,
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
    });
    t.is(ran.stderr, '', line);
    const offered = ran.stdout.trim().split('\n');
    for (const word of offers) t.true(offered.includes(word), `${line}: ${word} of ${offered.join(', ')}`);
    for (const word of not) t.false(offered.includes(word), `${line}: ${word} of ${offered.join(', ')}`);
  }
});

(has('fish') ? test : test.skip)('fish completes verbs, flags, values and files', async (t) => {
  const work = workDir(t);
  const { stdout: script } = await cli(t, client(work), ['completion', 'fish']);
  writeFileSync(`${work}/a file`, '');
  mkdirSync(`${work}/a folder`);
  writeFileSync(`${work}/script.fish`, `${script}\ncomplete -C $argv[1]\n`);
  for (const { line, offers, not = [] } of cases) {
    const env = { ...process.env, HOME: work };
    const ran = spawnSync('fish', ['--no-config', `${work}/script.fish`, line], { cwd: work, encoding: 'utf8', env });
    t.is(ran.stderr, '', line);
    const words = ran.stdout.split('\n').map((each) => each.replace(/\t.*/, '').replaceAll('\\', ''));
    const offered = words.map((each) => each.replace(/^--\S+=(?=.)/, '').replace(/\/$/, ''));
    for (const word of offers) t.true(offered.includes(word), `${line}: ${word} of ${offered.join(', ')}`);
    for (const word of not) t.false(offered.includes(word), `${line}: ${word} of ${offered.join(', ')}`);
  }
});

(has('zsh') ? test : test.skip)('zsh takes what is printed for a function of its completion', async (t) => {
  const work = workDir(t);
  const { stdout: script } = await cli(t, client(work), ['completion', 'zsh']);
  writeFileSync(`${work}/_sparsync`, script);
  const load = `fpath=(${work} $fpath); autoload -Uz compinit; compinit -u -d ${work}/dump; print $_comps[sparsync]; autoload +X _sparsync`;
  const ran = spawnSync('zsh', ['-fc', load], { encoding: 'utf8' });
  t.deepEqual([ran.stdout, ran.stderr], ['_sparsync\n', '']);
});

test('each verb is completed, and nothing else is asked for', async (t) => {
  const user = client(workDir(t));
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, stdout } = await cli(t, user, ['completion', shell]);
    t.is(code, exit.ok);
    for (const verb of verbs) t.true(stdout.includes(verb), `${shell}: ${verb}`);
  }
  for (const bad of [[], ['tcsh'], ['bash', 'zsh']]) {
    t.is((await cli(t, user, ['completion', ...bad])).code, exit.usage, bad.join(' '));
  }
});
