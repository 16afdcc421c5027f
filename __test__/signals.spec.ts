// What a signal does to the command and to a server: it ends as it should, and leaves nothing behind.
import { readFileSync, writeFileSync } from 'node:fs';

import { CertifiedTree } from './helpers/certified.js';
import { exit, quietly, startCli } from './helpers/cli.js';
import { assertEqual, judged } from './helpers/judge.js';
import { until } from './helpers/process.js';
import { program as command } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { remote } from './helpers/remote.js';
import { setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';

/** What serves: the command, and the executable that needs no Node. */
const SERVERS = [
  ['command', [process.execPath, command]],
  ['static', [remote]],
] as const;

/** Files of which some are on their way for a while. */
function someFiles(work: string): { readonly tree: CertifiedTree; readonly source: string } {
  const random = new Random('files');
  const sizes = new Map<string, number>();
  for (let i = 0; i < 60; i += 1) sizes.set(`small/file${i}`, random.between(300, 20_000));
  for (let i = 0; i < 16; i += 1) sizes.set(`large/file${i}`, 8 << 20);
  const tree = new CertifiedTree(sizes);
  tree.write(`${work}/source`, 1);
  return { tree, source: `${work}/source` };
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGUSR1'] as const) {
  judged(`${signal} stops a sync cleanly: exit code 20, what was done, and no file is torn`, async (t) => {
    const { work, served, url, client: user } = await setup(t);
    const { tree, source } = someFiles(work);
    tree.write(`${served}/tree`, 0);
    tree.write(`${work}/copy`, 0);
    tree.write(`${served}/origin`, 1);
    for (const [args, from, to] of [
      [[`${source}/`, url('tree/')], source, `${served}/tree`],
      [[url('origin/'), `${work}/copy/`], `${served}/origin`, `${work}/copy`],
    ] as const) {
      const running = startCli(t, user, ['-a', ...args]);
      await until('a temp file', () => running.over() || tree.strangers(to).length > 0);
      running.kill(signal);
      const ended = await running.ended;
      t.deepEqual([ended.code, ended.signal], [exit.aborted, null], ended.stderr);
      t.regex(ended.stderr, /transferred|nothing was done/);
      t.is(ended.stdout, '');
      t.deepEqual(tree.torn(to, [0, 1], { mayBeAbsent: false }), []);
      await quietly(t, user, ['-a', '--delete', ...args]);
      t.deepEqual(tree.strangers(to), []);
      assertEqual(t, from, to, { wholeSeconds: true });
    }
  });
}

for (const [name, program] of SERVERS) {
  judged(`SIGUSR1 neither ends a server nor opens a debugger in it (${name})`, async (t) => {
    const { work, served, url, client: user, server } = await setup(t, { program });
    const source = dir(work, 'source');
    writeFileSync(`${source}/f`, name);
    server.kill('SIGUSR1');
    server.kill('SIGHUP');
    await until('the reload', () => server.stderr().includes(' info reload'));
    await quietly(t, user, ['-r', `${source}/`, url('tree')]);
    t.is(readFileSync(`${served}/tree/f`, 'utf8'), name);
    const stopped = await server.stop();
    t.deepEqual([stopped.code, stopped.signal], [0, null], stopped.stderr);
    t.notRegex(stopped.stderr, /debugger/i);
  });

  judged(`SIGTERM lets a server finish what is under way, and nobody new begins (${name})`, async (t) => {
    const { work, served, url, client: user, server } = await setup(t, { args: ['--grace', '60'], program });
    const { tree, source } = someFiles(work);
    const running = startCli(t, user, ['-a', `${source}/`, url('tree/')]);
    await until('a temp file', () => running.over() || tree.strangers(`${served}/tree`).length > 0);
    t.false(running.over());
    server.kill('SIGTERM');
    const ended = await running.ended;
    t.deepEqual([ended.code, ended.stderr], [0, '']);
    const stopped = await server.ended;
    t.deepEqual([stopped.code, stopped.signal], [0, null], stopped.stderr);
    t.deepEqual(tree.strangers(`${served}/tree`), []);
    assertEqual(t, source, `${served}/tree`, { wholeSeconds: true });
  });

  judged(`SIGTERM rolls back what does not finish in its time, and leaves nothing behind (${name})`, async (t) => {
    const { work, served, client: user, server } = await setup(t, { args: ['--grace', '1'], program });
    const { tree, source } = someFiles(work);
    tree.write(`${served}/tree`, 0);
    await using relay = await Relay.start({ to: server.port });
    user.trust(relay.port, server.pin);
    const running = startCli(t, user, ['-a', '--no-partial', `${source}/`, relay.url('root', 'tree', '')]);
    await relay.passed('up', 4 << 20);
    relay.cut = true;
    server.kill('SIGTERM');
    const stopped = await server.ended;
    t.deepEqual([stopped.code, stopped.signal], [0, null], stopped.stderr);
    t.deepEqual(tree.torn(`${served}/tree`, [0, 1], { mayBeAbsent: false }), []);
    t.deepEqual(tree.strangers(`${served}/tree`), []);
    running.kill('SIGKILL');
    await running.ended;
  });
}
