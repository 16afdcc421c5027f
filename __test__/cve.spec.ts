// What rsync had to repair and no other spec names: words that would reach a shell, and rules of access that are not what they look like.
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import test from 'ava';

import { cli, exit } from './helpers/cli.js';
import { assertEqual, judged, rsync } from './helpers/judge.js';
import { client, program } from './helpers/product.js';
import { stubShell } from './helpers/remote.js';
import { accessOf, failure } from './helpers/setup.js';
import { startServer } from './helpers/server.js';
import { dir, workDir } from './helpers/temp.js';
import { connect, AccessError } from '../dist/index.js';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Names that do something where a shell reads them, each of which would leave a file called `pwned…` in the folder it runs in. */
const NAMES = [
  'a\ntouch pwned-newline\n',
  'b\rtouch pwned-return\r',
  '$(touch pwned-substituted)',
  '`touch pwned-quoted`',
  'c;touch pwned-behind;',
  "d'; touch pwned-single; '",
  'e"; touch pwned-double; "',
  'f & touch pwned-beside &',
  '-oProxyCommand=touch pwned-option',
  '--rsync-path=touch pwned-path',
  '~root',
  '*',
];

/** A tree whose files, directories and symlinks have these names. */
function hostileTree(root: string): string {
  for (const name of NAMES) {
    mkdirSync(`${root}/d/${name}`, { recursive: true });
    for (const path of [name, `d/${name}/${name}`])
      if (!existsSync(`${root}/${path}`)) writeFileSync(`${root}/${path}`, name);
    symlinkSync(name, `${root}/d/to ${name}`);
  }
  return root;
}

const traces = (...folders: readonly string[]): string[] =>
  folders.flatMap((folder) => readdirSync(folder).filter((name) => name.startsWith('pwned')));

judged('CVE-2026-53790: no name, path or option reaches a shell of either end, over a pipe', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  const source = hostileTree(dir(work, 'source'));
  const here = dir(work, 'here');
  for (const [at, name] of NAMES.entries()) {
    const [to, env] = [`box:to/${at}/${name}/`, stub.env];
    const pushed = await cli(t, user, ['-a', '--mkpath', `--exclude=${name}!`, `${source}/`, to], { cwd: here, env });
    t.is(pushed.code, exit.ok, `${JSON.stringify(name)}: ${pushed.stderr}`);
    assertEqual(t, source, `${stub.home}/to/${at}/${name}`, { label: `push ${name}` });
    const back = `${work}/back${at}`;
    const options = [`--backup-dir=${name}`, '-b', `--suffix=${name.replaceAll('/', '')}`];
    const pulled = await cli(t, user, ['-a', ...options, to, `${back}/`], { cwd: here, env });
    t.is(pulled.code, exit.ok, `${JSON.stringify(name)}: ${pulled.stderr}`);
    assertEqual(t, source, back, { label: `pull ${name}` });
  }
  t.deepEqual([...new Set(stub.calls())], ['box sparsync-remote --stdio'], 'nothing of a run is on the command line');
  t.deepEqual(traces(here, stub.home, work), []);
  // What stands for a host or a user is no option of ssh, and no command.
  for (const place of ['-oProxyCommand=touch pwned:x', 'me\ntouch pwned@box:x', 'box\ntouch pwned:x', 'box\r:x']) {
    const ran = await cli(t, user, ['-a', '--', `${source}/`, place], { cwd: here, env: stub.env });
    t.is(ran.code, exit.usage, `${JSON.stringify(place)}: ${ran.stderr}`);
  }
  t.deepEqual(traces(here, stub.home, work), []);
});

judged('CVE-2026-53790: the script beside a batch does what its words say, and nothing else', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const source = hostileTree(dir(work, 'source'));
  mkdirSync(`${work}/bin`);
  writeFileSync(`${work}/bin/sparsync`, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, { mode: 0o755 });
  const path = `${work}/bin:${process.env['PATH'] ?? ''}`;
  for (const [at, name] of NAMES.entries()) {
    const folder = dir(work, `at${at}`);
    const batch = name.replaceAll('/', '').replace(/^[-~*]/, './$&');
    const words = ['-a', `--suffix=${name}`, '-b', `--exclude=${name}!`, `--write-batch=${batch}`];
    const wrote = await cli(t, user, [...words, `${source}/`, `./to ${name}/`], { cwd: folder });
    t.is(wrote.code, exit.ok, `${JSON.stringify(name)}: ${wrote.stderr}`);
    for (const given of [[], [`./other ${name}/`]]) {
      const env = { ...process.env, ...user.env, PATH: path };
      const ran = spawnSync('sh', [`./${batch}.sh`, ...given], { cwd: folder, encoding: 'utf8', env });
      t.is(ran.status, exit.ok, `${JSON.stringify(name)}: ${ran.stderr}`);
    }
    // With -b times of directories are left out, as by rsync.
    t.is(rsync('-aOinc', '--delete', `${source}/`, `${folder}/other ${name}/`), '', name);
    t.deepEqual(traces(folder), []);
  }
});

judged('CVE-2026-53790: a server runs nothing that a client names', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user] });
  const source = hostileTree(dir(work, 'source'));
  const back = dir(work, 'back');
  const connection = await connect(server.url(), accessOf(user, server));
  t.teardown(() => connection.close());
  for (const name of NAMES) {
    await connection.push(`${source}/`, `root/${name}`, { mkpath: true });
    assertEqual(t, source, `${served}/${name}`, { label: `push ${name}` });
    await connection.pull(`root/${name}`, `${back}/${name}`);
    assertEqual(t, source, `${back}/${name}`, { label: `pull ${name}` });
  }
  t.deepEqual(traces(served, back, work, process.cwd()), []);
});

judged(
  'CVE-2026-70463, CVE-2026-70452, CVE-2026-43617: a rule of access that is not what it looks like, or names hosts, lets nobody in, to push or to pull',
  async (t) => {
    const work = workDir(t);
    const served = dir(work, 'served');
    writeFileSync(`${served}/secret`, 'secret');
    const source = dir(work, 'source');
    writeFileSync(`${source}/file`, 'file');
    const [user, operator] = [client(work), client(work, 'operator')];
    const server = await startServer(t, {
      home: work,
      roots: { root: served },
      clients: [operator],
    });
    const keys = `${server.configDir}/authorized_keys`;
    const isLetIn = async (): Promise<boolean> => {
      const connection = await connect(server.url(), accessOf(operator, server)).catch(() => undefined);
      await connection?.close();
      return connection !== undefined;
    };
    const put = async (line: string): Promise<void> => {
      writeFileSync(keys, `${line}\n`, { mode: 0o600 });
      server.kill('SIGHUP');
      // Where the file cannot be understood nobody at all is let in, and who asks sees that it was read.
      for (let tries = 0; tries < 1000 && (await isLetIn()) !== line.endsWith('good'); tries += 1);
      t.is(await isLetIn(), line.endsWith('good'), line);
    };
    const { publicKey: key } = user;
    for (const line of [
      `two words ${key}`,
      `user ${key} allow=read, write`,
      `user ${key} allow= read`,
      `user ${key} allow =read`,
      `user ${key} root=my docs`,
      `user ${key} root="root"`,
      `user ${key} root=root;allow=read`,
      `user ${key}, other ${operator.publicKey}`,
      `@group with blanks ${key} allow=read`,
      `user ${key} deny=all`,
      `user ${key} from=*.example.invalid`,
      `user ${key} hosts-deny=nowhere.invalid`,
      `from="!nowhere.invalid" user ${key}`,
      `user ${key} allow=read\u000Ballow=write,delete`,
    ]) {
      await put('# good');
      await put(line);
      const access = accessOf(user, server);
      for (const attempt of [
        async () => (await connect(server.url(), access)).push(`${source}/`, 'root/x'),
        async () => (await connect(server.url(), access)).pull('root', `${work}/copy`),
      ]) {
        const error = await failure(t, attempt(), AccessError, line);
        t.is(error.code, 'ERR_SPARSYNC_UNAUTHORIZED', line);
      }
    }
    t.false(existsSync(`${work}/copy`));
    t.deepEqual(readdirSync(served), ['secret']);
  },
);

/** The numbers that names of tests have. */
function tested(): Set<string> {
  const sources = (folder: string, end: string): string =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith(end) && !name.includes('/target/'))
      .map((name) => readFileSync(`${folder}/${name}`, 'utf8'))
      .join('\n');
  const named: string[] = sources(here, '.spec.ts').match(/(?:CVE|CAN)-\d{4}-\d{4,5}(?=[^\n]*['`])/g) ?? [];
  // `cve_2024_12084_and_12085_can_2002_0048_and_2003_0962_…`
  for (const [, name = ''] of sources(`${here}../crate`, '.rs').matchAll(/\bfn ([a-z0-9_]*(?:cve|can)_\d{4}_\w+)/g)) {
    let [kind, year] = ['', ''];
    for (const [, which, newYear, number = ''] of name.matchAll(/(?:(cve|can)_|and_)(?:(\d{4})_)?(\d{4,5})/g)) {
      kind = which?.toUpperCase() ?? kind;
      year = newYear ?? year;
      named.push(`${kind}-${year}-${number}`);
    }
  }
  return new Set(named);
}

test('each number in the table of docs/safety.md is in the name of a test', (t) => {
  const text = readFileSync(`${here}../docs/safety.md`, 'utf8');
  const rows = /## What rsync had to mend\n(.*?)\nNot here:/s.exec(text)?.[1] ?? '';
  const numbers = rows.match(/(?:CVE|CAN)-\d{4}-\d{4,5}/g) ?? [];
  t.is(new Set(numbers).size, numbers.length);
  t.true(numbers.length > 50);
  const known = tested();
  t.deepEqual(
    numbers.filter((number) => !known.has(number)),
    [],
  );
});
