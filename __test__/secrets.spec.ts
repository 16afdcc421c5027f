// Secrets are where they are used, and in nothing that is told, logged, measured or handed on.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { cli, exit, startCli } from './helpers/cli.js';
import { freePort } from './helpers/port.js';
import { start, until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { dir, workDir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';

const PASSWORD = 'open-sesame-31415';

/** Everything that a program can be told of a run, and what its error holds. */
const TELLING = `
import { subscribe } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { trace } from '@opentelemetry/api';
const { sync, connect } = await import(process.argv[1]);
const all = (value) => console.log(inspect(value, { depth: null, showHidden: true, maxStringLength: null, maxArrayLength: null }));
const exporter = { export: (spans, done) => { for (const span of spans) all([span.name, span.attributes, span.status, span.events]); done({ code: 0 }); }, shutdown: async () => undefined };
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
for (const name of ['start', 'connected', 'transfer', 'retry', 'end', 'error']) subscribe('sparsync:run:' + name, all);
const logger = Object.fromEntries(['debug', 'info', 'warn', 'error'].map((level) => [level, (...told) => all(told)]));
const [source, url, elsewhere] = process.argv.slice(-3);
const job = sync(source, url, { logger, profile: true, events: { items: true } });
for await (const event of job) all(event);
all(await job);
for (const bad of [() => sync(source, elsewhere, { logger }), () => connect(elsewhere, { logger }), () => sync(source, url, { logger, identity: { key: 'x' + process.env.PEM } })])
  try { await bad(); throw new Error('it worked'); } catch (error) { all(error); }
`;

test('a planted secret is in no log, profile, span, line, error, argument or environment of another program', async (t) => {
  const work = workDir(t);
  const [served, source] = [dir(work, 'served'), dir(work, 'source')];
  writeFileSync(`${source}/file`, 'content');
  const admin = client(work, 'server');
  const pem = readFileSync(admin.keyPath, 'utf8');
  const [metrics, profile, log] = [`127.0.0.1:${await freePort()}`, `${work}/profile`, `${work}/log`];
  const args = ['--log-file', log, '--log-format', 'json', '-v', '--profile', profile, '--metrics', metrics];
  const server = await startServer(t, { home: work, roots: { root: served }, args });
  const [at, other] = [`127.0.0.1:${server.port}`, `127.0.0.1:${await freePort()}`];
  const told: Record<string, string> = {};
  const keep = (what: string, { code, stdout, stderr }: { code: number | null; stdout: string; stderr: string }) => {
    told[what] = `${code}\n${stdout}\n${stderr}`;
  };

  const invited = await cli(t, admin, ['invite', 'alice', '--root', 'root', '--address', at]);
  const issued = await cli(t, admin, ['invite', 'ci', '--root', 'root', '--address', at, '--credential']);
  const [invitation, credential] = [invited.stdout.trim(), issued.stdout.trim().replace('SPARSYNC_CREDENTIAL=', '')];
  told['what invite says beside it'] = invited.stderr + issued.stderr;
  const fields = Buffer.from(credential.replace(/^.*\./, ''), 'base64url');
  const { key } = JSON.parse(fields.toString()) as { key: string };
  // Where the private part of the key stands in the word.
  const privateAt = credential.indexOf('.') + 1 + Math.ceil(((fields.indexOf(key) + 22) * 4) / 3);
  const secrets = {
    invitation: invitation.slice(-40),
    credential: credential.slice(privateAt, privateAt + 50),
    "the credential's key": key.slice(-40),
    "the server's key": (pem.split('\n')[1] ?? '').slice(-40),
    "the proxy's password": PASSWORD,
  };
  for (const [name, secret] of Object.entries(secrets)) t.true(secret.length > 15, name);
  t.true(invited.stdout.includes(secrets.invitation) && issued.stdout.includes(secrets.credential), 'they are found');

  const alice = client(work, 'alice');
  const proxy = { HTTPS_PROXY: `http://user:${PASSWORD}@${other}`, NO_PROXY: '' };
  const joining = { SPARSYNC_INVITATION: invitation };
  keep('join elsewhere', await cli(t, alice, ['join', other, '--contimeout=2'], { env: joining }));
  keep('join by a proxy', await cli(t, alice, ['join', 'nas.example', '--json'], { env: { ...joining, ...proxy } }));
  keep(
    'join with half of it',
    await cli(t, alice, ['join', at], { env: { SPARSYNC_INVITATION: invitation.slice(0, -4) } }),
  );
  keep('join', await cli(t, alice, ['join', at, '--json'], { env: joining }));
  keep('join again', await cli(t, client(work, 'bob'), ['join', at], { env: joining }));

  const job = {
    ...client(work, 'job'),
    env: { SPARSYNC_CONFIG_DIR: dir(work, 'none'), SPARSYNC_CREDENTIAL: credential },
  };
  const url = urlAt(at, 'root', 'ci', '');
  const elsewhere = urlAt(other, 'root', '');
  const run = async (what: string, words: readonly string[], more: Record<string, string> = {}) =>
    keep(what, await cli(t, job, words, { env: { ...job.env, ...more } }));
  await run('a run', [
    '-rtvv',
    '--stats',
    '--profile=' + work + '/own',
    '--log-file',
    `${work}/own.log`,
    `${source}/`,
    url,
  ]);
  t.is(told['a run']?.split('\n')[0], '0', told['a run']);
  await run('a run in JSON', ['-rt', '--json', `${source}/`, url]);
  await run('a refused run', ['-rt', '--json', `${source}/`, `sparsync://${at}/else/`]);
  await run('a run elsewhere', ['-rt', `${source}/`, elsewhere]);
  await run('a run by a proxy', ['-rt', `${source}/`, urlAt('nas.example', 'root', '')], proxy);
  await run('a proxy that is none', ['-rt', `${source}/`, url], { HTTPS_PROXY: `socks5://user:${PASSWORD}@${other}` });
  await run('a credential in half', ['-rt', `${source}/`, url], { SPARSYNC_CREDENTIAL: credential.slice(0, -9) });
  for (const words of [['--json'], ['--origin'], ['--origin', '--json']])
    await run(`config show ${words.join(' ')}`, ['config', 'show', ...words], { ...joining, ...proxy });
  await run('a secret as a setting', ['config', 'show'], { SPARSYNC_SERVE_ALLOW: pem });
  await run('doctor', ['doctor', '--json', url], proxy);
  const given = { env: { SPARSYNC_CONFIG_DIR: `${work}/none` } };
  keep('a key on standard input', await cli(t, job, ['keys', '--identity', '-'], { ...given, input: pem }));
  keep('a broken one', await cli(t, job, ['keys', '--identity', '-'], { ...given, input: pem.replace('MC4', 'MC5') }));

  // What is started has none of them, and whoever lists processes sees none.
  const spy = `${work}/spy`;
  writeFileSync(
    spy,
    `#!/bin/sh\n{ tr '\\0' '\\n' < /proc/self/environ; tr '\\0' ' ' < /proc/$PPID/cmdline; echo "$@"; } >> '${work}/spied'\nexit 9\n`,
  );
  chmodSync(spy, 0o755);
  await run('a run over a shell', ['-rt', '-e', spy, `${source}/`, 'nas:there/'], joining);
  await run('join by a shell', ['join', '--via-ssh=nas', '-e', spy], joining);
  const before = startCli(t, job, ['-rt', '--identity', '-', '--bwlimit=1', `${source}/`, elsewhere], {
    env: job.env,
    input: null,
  });
  await until('it to run', () => readFileSync(`/proc/${before.pid}/cmdline`, 'latin1').includes('--bwlimit'));
  before.child.stdin?.end(pem);
  told['its arguments'] = readFileSync(`/proc/${before.pid}/cmdline`, 'latin1');
  keep('it', await before.ended);
  told['what was started'] = readFileSync(`${work}/spied`, 'utf8');
  t.true(/PATH=[^]*main\.js[^]*sparsync 'invite'/.test(told['what was started']), 'both were looked at');

  const env = { ...job.env, ...proxy, NO_PROXY: '127.0.0.1', PEM: pem };
  const built = new URL('../dist/index.js', import.meta.url).href;
  const code = ['--input-type=module', '-e', TELLING, built, source, url, elsewhere];
  const api = await start(t, process.execPath, code, { env, cwd: new URL('..', import.meta.url).pathname }).ended;
  t.is(api.code, 0, api.stderr);
  t.regex(api.stdout, /sync ended/);
  keep('a program', api);

  await until('the last line', () => /"type":"session"/.test(readFileSync(log, 'utf8')));
  told['the metrics'] = await (await fetch(`http://${metrics}/metrics`)).text();
  await server.stop();
  for (const file of [log, profile, `${work}/own`, `${work}/own.log`]) told[file] = readFileSync(file, 'utf8');
  for (const [what, text] of Object.entries(told)) {
    t.true(text.length > 1, `${what} says something`);
    for (const [name, secret] of Object.entries(secrets)) t.false(text.includes(secret), `${name} in ${what}`);
  }
  t.is(told['join']?.split('\n')[0], String(exit.ok), told['join']);
});
