// What a job of GitHub Actions is told of a run, and the action under examples/, whose steps are run as the service would.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import test, { type ExecutionContext } from 'ava';
import { parse } from 'yaml';

import { issueCredential } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { assertEqual, judged } from './helpers/judge.js';
import { type Ended, start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { site } from './helpers/site.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { urlAt } from './helpers/url.js';

/** The files that the service gives to a step, and what stands in them. */
function stepFiles(work: string) {
  const [output, summary] = [`${work}/output`, `${work}/summary`];
  for (const file of [output, summary]) writeFileSync(file, '');
  const env = { GITHUB_ACTIONS: 'true', GITHUB_OUTPUT: output, GITHUB_STEP_SUMMARY: summary };
  const outputs = (): Record<string, string> =>
    Object.fromEntries(
      readFileSync(output, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  return { env, outputs, summary: () => readFileSync(summary, 'utf8') };
}

test('on GitHub Actions outputs and a summary tell of a run, and stdout is what it is elsewhere', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  const user = client(work);
  const step = stepFiles(work);
  writeFileSync(`${source}/a`, 'content');
  for (const name of ['elsewhere', 'there']) dir(work, name);
  const plain = await cli(t, user, ['-ai', `${source}/`, `${work}/elsewhere/`]);
  const ended = await cli(t, user, ['-ai', `${source}/`, `${work}/there/`], { env: step.env });
  t.deepEqual([ended.code, ended.stdout, ended.stderr], [exit.ok, plain.stdout, '']);
  const { files, bytes, deletes, changed, 'exit-code': exitCode, 'error-code': errorCode } = step.outputs();
  t.deepEqual([files, bytes, deletes, changed, exitCode, errorCode], ['1', '7', '0', 'true', '0', '']);
  t.regex(step.summary(), /^### sparsync .*: done\n[^]*\| Files transferred \| 1 \|\n/);
  await cli(t, user, ['-a', `${source}/`, `${work}/there/`], { env: step.env });
  t.deepEqual([step.outputs()['files'], step.outputs()['changed']], ['0', 'false'], 'the last run of a step counts');
});

test('what fails is an annotation, in which no name is more than a text', async (t) => {
  const work = workDir(t);
  const step = stepFiles(work);
  const missing = `${work}/100%\n::warning::<b>|\`x\``;
  const ended = await cli(t, client(work), ['-a', `${missing}/`, `${work}/there/`], { env: step.env });
  t.is(ended.code, exit.partial);
  const lines = ended.stderr.trimEnd().split('\n');
  t.true(
    lines.every((line) => line.startsWith('::error title=')),
    ended.stderr,
  );
  t.regex(ended.stderr, /^::error title=ERR_SPARSYNC_NOT_FOUND::.*100%25\\#012::warning/m);
  t.deepEqual([step.outputs()['exit-code'], step.outputs()['error-code']], ['23', 'ERR_SPARSYNC_NOT_FOUND']);
  const summary = step.summary();
  t.false(/<b>|`|^::/m.test(summary), summary);
  t.true(summary.includes('failed, ERR_SPARSYNC_NOT_FOUND'));
});

test('a name that a job would take for a command is none', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  for (const name of ['::stop-commands::x', ' ::add-mask::y', 'a##[error]z']) writeFileSync(`${source}/${name}`, '');
  const run = (to: string, env?: NodeJS.ProcessEnv) =>
    cli(t, user, ['-av', `${source}/`, `${dir(work, to)}/`], env === undefined ? {} : { env });
  const told = await run('there', stepFiles(work).env);
  t.notRegex(told.stdout, /^\s*::|##\[/m);
  t.true(told.stdout.includes(String.raw`\#072:stop-commands::x`), told.stdout);
  const elsewhere = await run('elsewhere', { GITHUB_ACTIONS: '' });
  t.regex(elsewhere.stdout, /^::stop-commands::x$/m);
});

test('what is lost of the output is in the exit code that a job is told', async (t) => {
  const work = workDir(t);
  const step = stepFiles(work);
  writeFileSync(`${dir(work, 'source')}/a`, 'content');
  const args = ['-a', '--log-file', '/dev/full', '--textfile', `${work}/job.prom`];
  const ended = await cli(t, client(work), [...args, `${work}/source/`, `${work}/there/`], { env: step.env });
  t.is(ended.code, exit.output, ended.stderr);
  t.is(step.outputs()['exit-code'], String(exit.output));
  t.regex(readFileSync(`${work}/job.prom`, 'utf8'), new RegExp(`exit_code\\{.*\\} ${exit.output}$`, 'm'));
});

test('a reporter that is named wins over GitHub Actions, and --json is one', async (t) => {
  const work = workDir(t);
  const step = stepFiles(work);
  const user = client(work);
  writeFileSync(`${dir(work, 'source')}/a`, 'content');
  const args = [`${work}/source/`, `${work}/there/`];
  const run = (...flags: readonly string[]) => cli(t, user, ['-a', ...flags, ...args], { env: step.env });
  const json = await run('--json');
  t.is(JSON.parse(json.stdout.trimEnd().split('\n').at(-1) ?? '').type, 'summary');
  t.regex((await run('--reporter=json')).stdout, /"type":"summary"/);
  const pretty = await cli(t, user, ['-a', '--reporter=pretty', `${work}/none/`, `${work}/x`], { env: step.env });
  t.regex(pretty.stderr, /^error\[/m);
  t.deepEqual([step.outputs(), step.summary()], [{}, '']);
  const both = await run('--json', '--reporter=pretty');
  t.is(both.code, exit.usage);
  t.regex((await run('--reporter=loud')).stderr, /must be one of pretty, json, github/);
  t.is((await run('--reporter=github')).code, exit.ok);
  t.is(step.outputs()['changed'], 'false');
});

test('a file of the service that cannot be written takes nothing from the run, and is told', async (t) => {
  const work = workDir(t);
  writeFileSync(`${dir(work, 'source')}/a`, 'content');
  const env = { GITHUB_ACTIONS: 'true', GITHUB_OUTPUT: `${work}/none/output`, GITHUB_STEP_SUMMARY: undefined };
  const ended = await cli(t, client(work), ['-a', `${work}/source/`, `${work}/there/`], { env });
  t.is(ended.code, exit.ok);
  t.regex(ended.stderr, /^::warning title=sparsync::cannot write GITHUB_OUTPUT: /);
  t.is(readFileSync(`${work}/there/a`, 'utf8'), 'content');
});

test('a comparison tells how many paths differ', async (t) => {
  const work = workDir(t);
  const step = stepFiles(work);
  writeFileSync(`${dir(work, 'one')}/a`, 'content');
  dir(work, 'two');
  const ended = await cli(t, client(work), ['verify', `${work}/one/`, `${work}/two/`], { env: step.env });
  t.is(ended.code, exit.partial);
  t.regex(ended.stderr, /^::error title=verify::\d paths? differs?$/m);
  t.regex(step.outputs()['differences'] ?? '', /^[12]$/);
  t.regex(step.summary(), /the trees differ/);
});

interface Step {
  name: string;
  if?: string;
  env: Record<string, string>;
  run: string;
}

interface Action {
  inputs: Record<string, { default?: string }>;
  outputs: Record<string, { value: string }>;
  runs: { steps: Step[] };
}

/** Runs the steps of the action with some inputs, as far as their conditions let them. */
async function act(t: ExecutionContext, work: string, given: Readonly<Record<string, string>>) {
  const file = fileURLToPath(new URL('../examples/github-action/action.yml', import.meta.url));
  const action = parse(readFileSync(file, 'utf8')) as Action;
  const files = stepFiles(work);
  const inputs = Object.entries(action.inputs).map(([name, input]) => [name, given[name] ?? input.default ?? '']);
  const expanded = (text: string): string =>
    text.replaceAll(/\$\{\{ inputs\.(\w+) \}\}/g, (_, name: string) => String(Object.fromEntries(inputs)[name]));
  let last: Ended | undefined;
  for (const step of action.runs.steps) {
    if (step.if !== undefined && /^\$\{\{ inputs\.\w+ != '' \}\}$/.test(step.if)) {
      const name = /inputs\.(\w+)/.exec(step.if)?.[1] ?? '';
      if (given[name] === '') continue;
    }
    t.false(step.run.includes('${{'), 'a value is never a part of a script');
    const env = Object.fromEntries(Object.entries(step.env).map(([name, value]) => [name, expanded(value)]));
    const common = { PATH: `${work}/bin:${process.env['PATH'] ?? ''}`, HOME: `${work}/none`, ...files.env };
    const clean = { SPARSYNC_CONFIG_DIR: undefined, SPARSYNC_STATE_DIR: `${work}/state` };
    last = await start(t, 'bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', step.run], {
      env: { ...common, ...clean, ...env },
    }).ended;
    if (last.code !== 0) break;
  }
  const found = files.outputs();
  const outputs = Object.fromEntries(
    Object.entries(action.outputs).map(([name, { value }]) => [
      name,
      found[/^\$\{\{ steps\.sync\.outputs\.([\w-]+) \}\}$/.exec(value)?.[1] ?? ''],
    ]),
  );
  return { ended: last, outputs };
}

judged('examples/github-action pushes a build with a credential, and says what it did', async (t) => {
  const { work, served, server, address, options: ofServer } = await site(t);
  const rights = { roots: ['root/web'], operations: ['write', 'delete'] as const };
  const { credential } = await issueCredential('ci', address, { ...ofServer, ...rights });
  server.reload();
  const bin = dir(work, 'bin');
  writeFileSync(`${bin}/sparsync`, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, { mode: 0o755 });
  const built = dir(work, 'built tree');
  plainTree(built, { directories: 2, files: 10 });
  const options = '-rlpt\n--delete\n';
  const common = { destination: urlAt(address, 'root', 'web', ''), credential, options, version: '' };
  const first = await act(t, work, { ...common, source: `${built}/` });
  t.deepEqual([first.ended?.code, first.ended?.stderr], [0, '']);
  t.deepEqual(
    [first.outputs['exit-code'], first.outputs['changed'], first.outputs['files'], first.outputs['error-code']],
    ['0', 'true', '20', ''],
  );
  assertEqual(t, built, `${served}/web`);
  const refused = await act(t, work, { ...common, destination: urlAt(address, 'root', ''), source: `${built}/` });
  t.is(refused.ended?.code, exit.unauthorized);
  t.regex(refused.ended?.stderr ?? '', /^::error title=ERR_SPARSYNC_(?:SCOPE|UNAUTHORIZED)::/m);
  t.is(refused.outputs['exit-code'], String(exit.unauthorized));
  t.false(JSON.stringify(refused).includes(credential.slice(30, 60)), 'a secret is in no message');
});
