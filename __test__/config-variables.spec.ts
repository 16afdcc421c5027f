// Settings in the environment: one variable for each that a file may have, between the command line and files.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import { until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { dir, workDir } from './helpers/temp.js';

interface Schema {
  readonly properties: Readonly<
    Record<string, { readonly properties: Readonly<Record<string, { $ref?: string; enum?: readonly unknown[] }>> }>
  >;
}

/** What begins the names of a table's variables. */
const PREFIX: Readonly<Record<string, string>> = {
  sync: 'SPARSYNC_',
  connection: 'SPARSYNC_',
  verify: 'SPARSYNC_VERIFY_',
  server: 'SPARSYNC_SERVE_',
};

test('a variable comes after the command line and before files, and lists are one', async (t) => {
  const work = workDir(t);
  const [user, cwd, source] = [client(work), dir(work, 'cwd'), dir(work, 'source')];
  for (const name of ['a.o', 'b.c', 'c.tmp', 'd']) writeFileSync(`${source}/${name}`, name);
  let runs = 0;
  /** The names that are at a destination, where `old` was, after a sync. */
  const synced = async (args: readonly string[], env: Record<string, string>): Promise<string[]> => {
    const target = `${work}/target${(runs += 1)}`;
    mkdirSync(target);
    writeFileSync(`${target}/old`, '');
    const ended = await cli(t, user, [...args, `${source}/`, `${target}/`], { cwd, env });
    t.is(ended.code, exit.ok, ended.stderr);
    return readdirSync(target).toSorted();
  };
  writeFileSync(`${user.configDir}/sparsync.toml`, '[sync]\narchive = true\ndelete = true\nexclude = "*.o"\n');
  t.deepEqual(await synced([], {}), ['b.c', 'c.tmp', 'd']);
  t.deepEqual(await synced([], { SPARSYNC_DELETE: 'false' }), ['b.c', 'c.tmp', 'd', 'old']);
  t.deepEqual(await synced(['--delete'], { SPARSYNC_DELETE: 'off' }), ['b.c', 'c.tmp', 'd']);
  t.deepEqual(await synced([], { SPARSYNC_EXCLUDE: '*.c\n*.tmp\n' }), ['d'], 'with the list of the file');
  t.deepEqual(await synced([], { SPARSYNC_EXCLUDE: 'false' }), ['a.o', 'b.c', 'c.tmp', 'd'], 'a list is taken back');
  t.deepEqual(await synced(['--no-exclude'], { SPARSYNC_EXCLUDE: '*.c' }), ['a.o', 'b.c', 'c.tmp', 'd']);
  t.deepEqual(await synced(['--no-config'], { SPARSYNC_ARCHIVE: '1', SPARSYNC_DELETE: '' }), [
    'a.o',
    'b.c',
    'c.tmp',
    'd',
    'old',
  ]);
  // What another verb has changes nothing here.
  t.deepEqual(await synced([], { SPARSYNC_SERVE_EXCLUDE: '*', SPARSYNC_VERIFY_EXCLUDE: '*' }), ['b.c', 'c.tmp', 'd']);
});

test('each setting of a file has a variable, and config show says which one counts', async (t) => {
  const work = workDir(t);
  const user = client(work);
  // Oxlint has no type for what a schema holds.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const schema = JSON.parse(readFileSync(new URL('../docs/sparsync.schema.json', import.meta.url), 'utf8')) as Schema;
  const env: Record<string, string> = {};
  const expected: string[] = [];
  for (const [table, { properties }] of Object.entries(schema.properties)) {
    for (const [key, value] of Object.entries(properties)) {
      const text = value.enum?.[0] ?? (value.$ref === '#/$defs/switch' ? 'true' : '7');
      const name = `${PREFIX[table]}${key.toUpperCase().replaceAll('-', '_')}`;
      // A reference to the sync's own setting has that one's kind.
      const same = /^#\/properties\/sync\/properties\/(.*)$/.exec(value.$ref ?? '')?.[1];
      env[name] =
        same === undefined ? String(text) : (env[`SPARSYNC_${same.toUpperCase().replaceAll('-', '_')}`] ?? '');
      // This variable has meant something else from the first version on.
      if (name !== 'SPARSYNC_PROFILE') expected.push(`${table}.${key} ${name}`);
    }
  }
  t.true(expected.length > 200);
  const shown = await cli(t, user, ['config', 'show', '--json'], { env });
  t.is(shown.code, exit.ok, shown.stderr);
  const told = shown.stdout
    .trim()
    .split('\n')
    .map((line) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const { table, key, origin } = JSON.parse(line) as { table: string; key: string; origin: { variable?: string } };
      return `${table}.${key} ${origin.variable}`;
    });
  t.deepEqual(told.filter((line) => line !== 'sync.profile SPARSYNC_PROFILE').toSorted(), expected.toSorted());
  writeFileSync(`${user.configDir}/sparsync.toml`, '[sync]\nbwlimit = 7\nlanes = 1\nexclude = "a"\n');
  const origin = await cli(t, user, ['config', 'show', '--origin'], {
    env: {
      SPARSYNC_BWLIMIT: '1M',
      SPARSYNC_EXCLUDE: 'b',
      SPARSYNC_SERVE_ROOT: 'x=/srv/x',
      SPARSYNC_LANES: '2',
      SPARSYNC_BATCH_WRITE_CONCURRENCY: '3',
    },
  });
  t.is(
    origin.stdout,
    [
      '[sync]',
      'exclude = [',
      '  "b", # SPARSYNC_EXCLUDE',
      `  "a", # ${user.configDir}/sparsync.toml:4`,
      ']',
      'bwlimit = "1M" # SPARSYNC_BWLIMIT',
      'lanes = 2 # SPARSYNC_LANES',
      '[server]',
      'root."x" = "/srv/x" # SPARSYNC_SERVE_ROOT',
      '',
    ].join('\n'),
    origin.stderr,
  );
});

test('a name that stands for nothing, or a value that cannot be, is refused, with what is meant', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  const run = (env: Record<string, string>) => cli(t, user, ['-a', `${source}/`, `${work}/target/`], { env });
  for (const [name, value, message] of [
    ['SPARSYNC_BWLIMT', '1', 'unknown variable SPARSYNC_BWLIMT in the environment; did you mean SPARSYNC_BWLIMIT?'],
    ['SPARSYNC_GUARD', 'off', 'did you mean SPARSYNC_GUARDS?'],
    ['SPARSYNC_MAX_SESSIONS', '1', 'did you mean SPARSYNC_SERVE_MAX_SESSIONS?'],
    ['SPARSYNC_SERVE_MAX_SESSION', '1', 'did you mean SPARSYNC_SERVE_MAX_SESSIONS?'],
    ['SPARSYNC_DRY_RUN', '1', 'unknown variable SPARSYNC_DRY_RUN'],
    ['SPARSYNC_DELETE', 'yes', 'SPARSYNC_DELETE must be true or false, not "yes"'],
    ['SPARSYNC_RETRY', 'x', 'SPARSYNC_RETRY must be a whole number, not "x"'],
    ['SPARSYNC_COMPRESS', 'alwys', 'SPARSYNC_COMPRESS must be one of "auto", "always", "never", not "alwys"'],
    ['SPARSYNC_FILTER', '- x\n!', 'SPARSYNC_FILTER cannot clear other rules here'],
    ['SPARSYNC_IDENTITY', '-----BEGIN PRIVATE KEY-----', 'SPARSYNC_IDENTITY is a secret'],
  ] as const) {
    const ended = await run({ [name]: value });
    t.is(ended.code, exit.usage, name);
    t.true(ended.stderr.includes(message), `${name}: ${ended.stderr}`);
    t.false(ended.stderr.includes('PRIVATE KEY'), 'a secret is not repeated');
    t.false(existsSync(`${work}/target`));
  }
  const later = await run({ SPARSYNC_BWLIMIT: 'x' });
  t.is(later.code, exit.usage);
  t.regex(later.stderr, /settings also come from SPARSYNC_BWLIMIT/, 'what is found later names the variables');
  const ofService = {
    SPARSYNC_SERVICE_HOST: '10.0.0.1',
    SPARSYNC_SERVICE_PORT_QUIC: '28792',
    SPARSYNC_PORT: 'udp://10.0.0.1:28792',
    SPARSYNC_PORT_28792_UDP_ADDR: '10.0.0.1',
    SPARSYNC_NAS_PORT: 'tcp://10.0.0.1:28792',
  };
  await quietly(t, user, ['-a', `${source}/`, `${work}/target/`], { env: ofService });
});

test('a server has its settings from the environment, and its unit has them', async (t) => {
  const work = workDir(t);
  const [user, served, source] = [client(work), dir(work, 'served'), dir(work, 'source')];
  writeFileSync(`${source}/a`, 'a');
  const log = `${work}/log`;
  const env = {
    SPARSYNC_SERVE_ROOT: `data=${served}`,
    SPARSYNC_SERVE_LOG_FILE: log,
    SPARSYNC_SERVE_ALLOW: `me ${user.publicKey} allow=read`,
  };
  const server = await startServer(t, { home: work, roots: {}, env });
  user.trust(server.port, server.pin);
  const refused = await cli(t, user, ['-a', `${source}/`, server.url('data')]);
  t.is(refused.code, exit.unauthorized, refused.stderr);
  t.deepEqual(readdirSync(served), []);
  await until('the line of the log', () => /\bme\b/.test(readFileSync(log, 'utf8')));
  const unit = await cli(t, user, ['serve', '--print-unit'], {
    env: { ...env, SPARSYNC_SERVE_IDENTITY: '/etc/key.pem', SPARSYNC_DELETE: 'true' },
  });
  t.is(unit.code, exit.ok, unit.stderr);
  const line = /^Environment=(.*)$/m.exec(unit.stdout)?.[1] ?? '';
  t.true(line.includes(` SPARSYNC_SERVE_ROOT=data=${served} SPARSYNC_SERVE_LOG_FILE=${log} `), line);
  t.true(line.endsWith(`"SPARSYNC_SERVE_ALLOW=me ${user.publicKey} allow=read"`), line);
  t.regex(unit.stdout, /^ExecStart=.* serve --identity \/etc\/key\.pem$/m);
});
