import { execFileSync } from 'node:child_process';
import { chownSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';

import { exit } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { isRoot } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

/** Whether this user may be root of a user namespace of his own. */
function canUnshare(): boolean {
  try {
    execFileSync('unshare', ['--user', '--map-root-user', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

judgedWhere(isRoot && canUnshare())('an id that cannot be set costs its attribute, not the content', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  mkdirSync(`${source}/sub`);
  const large = new Random(t.title).bytes(1 << 20);
  writeFileSync(`${source}/small`, 'small');
  writeFileSync(`${source}/large`, large);
  writeFileSync(`${source}/sub/plain`, 'plain');
  symlinkSync('small', `${source}/link`);
  for (const name of ['small', 'large', 'sub', 'link']) execFileSync('chown', ['-h', '4242', `${source}/${name}`]);
  chownSync(`${source}/sub/plain`, 0, 0);
  const user = client(work);
  const copy = () =>
    start(t, 'unshare', ['--user', '--map-root-user', process.execPath, program, '-a', `${source}/`, `${work}/copy/`], {
      env: user.env,
    }).ended;
  // The second run has nothing to copy, and has the same to tell.
  for (const run of ['first', 'second']) {
    const ended = await copy();
    t.is(ended.code, exit.partial, `${run}: ${ended.stderr}`);
    const told = ended.stderr.split('\n').filter((line) => line.includes('Invalid argument'));
    t.deepEqual(
      told.map((line) => line.split(':')[0]).toSorted(),
      ['large', 'link', 'small', 'sub'],
      `${run}: each path is told once: ${ended.stderr}`,
    );
    for (const line of told) t.regex(line, /: chown \d+: Invalid argument/);
    t.is(readFileSync(`${work}/copy/small`, 'utf8'), 'small');
    t.true(readFileSync(`${work}/copy/large`).equals(large));
    t.is(readFileSync(`${work}/copy/sub/plain`, 'utf8'), 'plain');
    for (const name of ['small', 'large', 'sub', 'link', 'sub/plain']) {
      const [from, to] = [lstatSync(`${source}/${name}`), lstatSync(`${work}/copy/${name}`)];
      t.deepEqual([to.mode, Math.trunc(to.mtimeMs / 1000)], [from.mode, Math.trunc(from.mtimeMs / 1000)], name);
    }
  }
});
