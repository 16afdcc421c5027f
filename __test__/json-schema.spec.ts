// What programs read, the lines of --json and of a server's log in JSON, is what the published schema says.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import test, { type ExecutionContext } from 'ava';

import { cli, exit, startCli } from './helpers/cli.js';
import { freePort } from './helpers/port.js';
import { until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

type Line = Readonly<Record<string, unknown>>;

const schema = JSON.parse(
  readFileSync(fileURLToPath(new URL('../docs/events.schema.json', import.meta.url)), 'utf8'),
) as Line;
const ajv = new Ajv2020({ allErrors: true, formats: { 'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/ } });
ajv.addSchema(schema);
const lineIsValid = ajv.compile(schema);
const logIsValid = ajv.compile({ $ref: 'urn:sparsync-native:events:1#/$defs/logLine' });

const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);

/** Each line is valid, and no more so once a field stands in it that nobody declared. */
function assertValid(t: ExecutionContext, isValid: ValidateFunction, lines: readonly Line[]): string[] {
  for (const line of lines) {
    t.true(isValid(line), `${JSON.stringify(line)}: ${ajv.errorsText(isValid.errors?.slice(-5))}`);
    t.false(isValid({ ...line, planted: 1 }), `${String(line['type'])} with an unknown field`);
  }
  return lines.map(({ type }) => String(type));
}

test('lines of a sync, of what it fails with, of a plan and of a comparison are what the schema says', async (t) => {
  const { work, server, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, 'content');
  writeFileSync(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xe9])]), 'no text');
  mkdirSync(`${work}/conflict/a/in the way`, { recursive: true });
  const seen: string[] = [];
  const run = async (code: number, ...args: readonly string[]): Promise<Line[]> => {
    const { code: found, stdout, stderr } = await cli(t, user, ['--json', ...args]);
    t.is(found, code, stderr);
    const lines = linesOf(stdout);
    seen.push(...assertValid(t, lineIsValid, lines));
    t.is(lines.at(-1)?.['exitCode'] ?? code, code);
    return lines;
  };
  await run(exit.ok, '-a', `${source}/`, `${work}/copy/`);
  await run(exit.ok, '-a', '--progress', '--profile', `${work}/profile`, '--bwlimit=40', `${source}/`, url('tree/'));
  await run(exit.ok, '-a', '--plan', `${work}/plan`, `${source}/`, `${work}/planned/`);
  await run(exit.partial, '-a', `${source}/`, `${work}/conflict/`);
  await run(exit.partial, '-a', `${work}/none/`, `${work}/copy/`);
  await run(exit.unauthorized, '-a', `${source}/`, server.url('unknown'));
  await run(exit.connect, '-a', '--retry=1', `${source}/`, `sparsync://127.0.0.1:${await freePort()}/root`);
  await run(exit.usage, '-a', '--zc=zstd', `${source}/`, `${work}/copy/`);
  await run(exit.ok, '-an', '--explain=a', `${source}/`, `${work}/copy/`);
  await run(exit.ok, '-a', `${source}/`, url('verified/'));
  for (const [code, to] of [
    [exit.ok, url('verified/')],
    [exit.partial, `${work}/conflict/`],
  ] as const) {
    const { code: found, stdout, stderr } = await cli(t, user, ['verify', '--json', `${source}/`, to]);
    t.is(found, code, stderr);
    seen.push(...assertValid(t, lineIsValid, linesOf(stdout)));
  }
  const files = 'connected difference error explanation failure item retry start summary'.split(' ');
  t.deepEqual(
    files.filter((type) => !seen.includes(type)),
    [],
  );
});

test('progress, warnings and the end by a signal are what the schema says', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, Buffer.alloc(4 << 20, 1));
  const slow = ['--json', '-a', '--progress', '--bwlimit=100', '-W', `${source}/`, `${work}/copy/`];
  const running = startCli(t, user, slow);
  await until('progress', () => running.over() || running.stdout().includes('"progress"'));
  running.kill('SIGINT');
  const ended = await running.ended;
  t.is(ended.code, exit.aborted, ended.stderr);
  const seen = assertValid(t, lineIsValid, linesOf(ended.stdout));
  t.true(seen.includes('progress') && seen.at(-1) === 'interrupted', seen.join(' '));
  const specials = await cli(t, user, ['--json', '-rlpt', '/dev/null', `${work}/copy/`]);
  t.deepEqual(
    assertValid(t, lineIsValid, linesOf(specials.stdout)).filter((type) => type === 'warning'),
    ['warning'],
  );
});

test('lines of a server’s log in JSON are what the schema says', async (t) => {
  const work = workDir(t);
  const [user, stranger] = [client(work, 'user'), client(work, 'stranger')];
  const log = `${work}/log`;
  const args = ['-v', '--log-file', log, '--log-format', 'json'];
  const server = await startServer(t, { home: work, roots: { root: dir(work, 'served') }, clients: [user], args });
  stranger.trust(server.port, server.pin);
  writeFileSync(`${dir(work, 'source')}/a`, 'content');
  await cli(t, user, ['-a', `${work}/source/`, server.url('root', 'tree')]);
  await cli(t, user, ['-a', `${work}/source/`, server.url('other')]);
  await cli(t, stranger, ['-a', `${work}/source/`, server.url('root')]);
  server.kill('SIGHUP');
  await until('the reload', () => readFileSync(log, 'utf8').includes('"reload"'));
  await server.stop();
  const seen = assertValid(t, logIsValid, linesOf(readFileSync(log, 'utf8')));
  const expected = 'listening keys connected session refused disconnected reload closing closed'.split(' ');
  t.deepEqual(
    expected.filter((type) => !seen.includes(type)),
    [],
  );
});
