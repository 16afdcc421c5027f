// What V8 made of the command is kept for the next start. It is code that runs: it counts only where nobody else can have written it.
import {
  chmodSync,
  chownSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

import test, { type ExecutionContext } from 'ava';

import { cli, exit } from './helpers/cli.js';
import { type Client, client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { canMount, isRoot, mountTmpfs } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

/** A user with a folder for what can be made again. */
interface User {
  readonly user: Client;
  readonly cache: string;
  readonly source: string;
  readonly work: string;
  /** The files that are kept. */
  readonly files: () => string[];
}

function newUser(t: ExecutionContext): User {
  const work = workDir(t);
  const cache = dir(work, 'cache');
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'content');
  const one = client(work);
  const user = { ...one, env: { ...one.env, XDG_CACHE_HOME: cache } };
  const folder = `${cache}/sparsync`;
  return {
    user,
    cache,
    source,
    work,
    files: () => (existsSync(folder) ? readdirSync(folder).map((name) => `${folder}/${name}`) : []),
  };
}

async function run(t: ExecutionContext, { user, source, work }: User, env: Record<string, string> = {}): Promise<void> {
  const ended = await cli(t, user, ['-a', `${source}/`, `${work}/destination/`], { env });
  t.deepEqual([ended.code, ended.stdout, ended.stderr], [exit.ok, '', '']);
  t.is(readFileSync(`${work}/destination/file`, 'utf8'), 'content');
}

/** What V8 makes of a command in which a wrong command line has another exit code. */
function changed(): Buffer {
  const path = fileURLToPath(new URL('../dist/cli/start.js', import.meta.url));
  const source = readFileSync(path, 'latin1');
  const other = source.replace('usage:1,', 'usage:9,');
  if (other === source) throw new Error('the exit codes are written otherwise');
  return Buffer.concat([new Script(other, { filename: path }).createCachedData(), Buffer.of(1)]);
}

const wrong = async (t: ExecutionContext, { user }: User): Promise<number | null> =>
  (await cli(t, user, ['--no-such-flag'])).code;

test('a first run keeps one file, which only its user can read, and the next run uses it as it is', async (t) => {
  const own = newUser(t);
  await run(t, own);
  const [file = '', ...others] = own.files();
  t.deepEqual(others, []);
  const content = readFileSync(file);
  await run(t, own);
  t.deepEqual(readFileSync(file), content, 'a second run of the same kind writes nothing');
  writeFileSync(file, changed());
  t.is(await wrong(t, own), 9, 'what is kept is what runs');
});

test('a run over a network is kept in the place of one of this machine, and not the other way round', async (t) => {
  const own = newUser(t);
  await run(t, own);
  const [file = ''] = own.files();
  const local = readFileSync(file);
  const server = await startServer(t, {
    home: own.work,
    roots: { there: dir(own.work, 'there') },
    clients: [own.user],
  });
  own.user.trust(server.port, server.pin);
  const ended = await cli(t, own.user, ['-a', `${own.source}/`, `${server.url('there')}/`]);
  t.deepEqual([ended.code, ended.stderr], [exit.ok, '']);
  const remote = readFileSync(file);
  t.notDeepEqual(remote, local);
  await run(t, own);
  t.deepEqual(readFileSync(file), remote);
});

test('what failed, and what does not sync, is not kept', async (t) => {
  const own = newUser(t);
  for (const args of [['--version'], ['--help'], ['keys'], [`${own.work}/missing`, `${own.work}/d/`]])
    await cli(t, own.user, args);
  t.deepEqual(own.files(), []);
});

test('what others may have written is not run', async (t) => {
  const own = newUser(t);
  await run(t, own);
  const [file = ''] = own.files();
  writeFileSync(file, changed());
  t.is(await wrong(t, own), 9);
  chmodSync(file, 0o620);
  t.is(await wrong(t, own), exit.usage, 'a file that a group may write');
  chmodSync(file, 0o600);
  renameSync(file, `${own.work}/elsewhere`);
  symlinkSync(`${own.work}/elsewhere`, file);
  t.is(await wrong(t, own), exit.usage, 'a symlink');
  renameSync(`${own.work}/elsewhere`, file);
  t.is(await wrong(t, own), 9);
  chmodSync(dirname(file), 0o770);
  t.is(await wrong(t, own), exit.usage, 'in a folder that a group may write to');
  chmodSync(dirname(file), 0o700);
  if (!isRoot) return;
  chownSync(dirname(file), 65_534, 65_534);
  t.is(await wrong(t, own), exit.usage, "in another user's folder");
  chownSync(dirname(file), 0, 0);
  chownSync(file, 65_534, 65_534);
  t.is(await wrong(t, own), exit.usage, "another user's file");
});

test('what is damaged is made anew', async (t) => {
  const own = newUser(t);
  await run(t, own);
  const [file = ''] = own.files();
  const content = readFileSync(file);
  for (const damaged of [Buffer.alloc(0), content.subarray(0, 1000), Buffer.from('no code at all')]) {
    writeFileSync(file, damaged);
    await run(t, own);
    t.true(readFileSync(file).length > 50_000);
  }
});

(canMount ? test : test.skip)('what cannot be written leaves nothing behind', async (t) => {
  const own = newUser(t);
  const small = dir(own.work, 'small');
  t.true(mountTmpfs(t, small, 'size=64k'));
  await run(t, own, { XDG_CACHE_HOME: small });
  t.deepEqual(readdirSync(`${small}/sparsync`), []);
});

test('where it is not wanted, or there is no folder of one’s own, nothing is kept and nothing fails', async (t) => {
  const own = newUser(t);
  await run(t, own, { NODE_DISABLE_COMPILE_CACHE: '1' });
  await run(t, own, { XDG_CACHE_HOME: 'relative', HOME: '/nonexistent' });
  await run(t, own, { XDG_CACHE_HOME: '', HOME: '' });
  writeFileSync(`${own.work}/no-folder`, '');
  await run(t, own, { XDG_CACHE_HOME: `${own.work}/no-folder` });
  t.deepEqual(own.files(), []);
  t.deepEqual(readdirSync(own.cache), []);
});

(isRoot ? test : test.skip)('root leaves nothing in the home folder of somebody else', async (t) => {
  const own = newUser(t);
  const home = dir(own.work, 'home');
  chownSync(home, 65_534, 65_534);
  await run(t, own, { XDG_CACHE_HOME: '', HOME: home });
  t.deepEqual(readdirSync(home), []);
});
