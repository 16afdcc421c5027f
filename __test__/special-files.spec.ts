// FIFOs: made, adjusted and replaced as by rsync, at a server for a key with the right, and never opened.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import { plan } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { thereAndBack } from './helpers/journey.js';
import { assertEqual, judged, rsync } from './helpers/judge.js';
import { setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';

judged('each change of a FIFO is made and itemized as by rsync', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  const pipe = `${source}/x`;
  const changes: Array<[string, () => void]> = [
    ['new', () => execFileSync('mkfifo', ['-m', '640', pipe])],
    ['nothing', () => undefined],
    ['mode', () => chmodSync(pipe, 0o600)],
    ['time', () => utimesSync(pipe, 1_000_000_000, 1_000_000_000)],
    ['a file in its place', () => (rmSync(pipe), writeFileSync(pipe, 'content'))],
    ['it in place of a file', () => (rmSync(pipe), execFileSync('mkfifo', [pipe]))],
    ['a symlink in its place', () => (rmSync(pipe), symlinkSync('nowhere', pipe))],
    ['it in place of a symlink', () => (rmSync(pipe), execFileSync('mkfifo', [pipe]))],
    ['a directory in its place', () => (rmSync(pipe), mkdirSync(pipe), writeFileSync(`${pipe}/f`, 'content'))],
    ['it in place of a directory', () => (rmSync(pipe, { recursive: true }), execFileSync('mkfifo', [pipe]))],
    ['gone', () => rmSync(pipe)],
  ];
  for (const [what, change] of changes) {
    change();
    // The time of the top differs with each change, and is not in question.
    utimesSync(source, 1_100_000_000, 1_100_000_000);
    for (const flags of ['-rlptDi', '-rlpti']) {
      const [ours, theirs] = [`${work}/ours${flags}`, `${work}/theirs${flags}`];
      const ran = await cli(t, user, [flags, '--delete', '--allow-mass-delete', `${source}/`, ours]);
      t.is(ran.code, exit.ok, ran.stderr);
      const judge = rsync(flags, '--delete', `${source}/`, theirs);
      const told = (output: string): string[] =>
        output
          .split('\n')
          .map((line) => line.replace(/ -> .*$/, ''))
          .filter((line) => line.includes('x') && !line.startsWith('*deleting') && !line.startsWith('created'));
      t.deepEqual(told(ran.stdout), told(judge), `${flags}, ${what}`);
      // rsync leaves a new FIFO the time at which it was made, where that is in the same second as the source's.
      assertEqual(t, theirs, ours, { label: `${flags}, ${what}`, wholeSeconds: true });
    }
  }
});

judged('a FIFO goes through a server, there and back, and a second run has nothing to do', async (t) => {
  const made = await setup(t);
  const { work, access, server, client: user } = made;
  const source = dir(work, 'source');
  mkdirSync(`${source}/sub`);
  execFileSync('mkfifo', ['-m', '000', `${source}/sub/closed`]);
  execFileSync('mkfifo', [`${source}/open`]);
  writeFileSync(`${source}/sub/f`, 'content');
  await thereAndBack(t, made, source);
  await quietly(t, user, ['-a', `${source}/open`, `${work}/one`]);
  t.is(walk(`${work}/one`).get('')?.kind, 'other');

  chmodSync(`${source}/open`, 0o600);
  const items = [];
  for await (const item of plan(source, server.url('root', 'tree'), access)) items.push(item);
  t.deepEqual(items, [{ path: 'open', kind: 'fifo', action: 'attrs', reasons: ['mode'] }]);
});

judged('a push with -a by a key without the right leaves FIFOs out and names the right once', async (t) => {
  const { work, served, url, client: user } = await setup(t, { rights: 'read,write,delete,owner' });
  const source = dir(work, 'source');
  writeFileSync(`${source}/f`, 'content');
  await quietly(t, user, ['-a', `${source}/`, url('tree')]);
  execFileSync('mkfifo', [`${source}/one`]);
  execFileSync('mkfifo', [`${source}/two`]);
  writeFileSync(`${source}/later`, 'content');
  for (const run of ['first', 'again']) {
    const ended = await cli(t, user, ['-a', `${source}/`, url('tree')]);
    t.deepEqual([ended.code, ended.stdout], [exit.ok, ''], run);
    t.regex(ended.stderr, /^warning: special files are not preserved: .*"special".*\n$/, run);
  }
  t.deepEqual([...walk(`${served}/tree`).keys()], ['', 'f', 'later']);
});
