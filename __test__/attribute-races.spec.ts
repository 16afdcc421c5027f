// Extended attributes and ACLs are set on what is held, never by a name that somebody else may exchange.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { sync } from '../dist/index.js';
import { exit } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { isRoot, scaled, setup } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';
import { dir } from './helpers/temp.js';
import { dumped } from './helpers/xattrs.js';

const trial = 'd=$(mktemp -d) && setfattr -n trusted.a -v 1 $d && setfacl -m u:7:r $d; s=$?; rm -r $d; exit $s';
const hasBoth = isRoot && spawnSync('sh', ['-c', trial]).status === 0;

function set(path: string, name: string, value: string): void {
  execFileSync('setfattr', ['-h', '-n', name, '-v', value, path]);
}

function fill(source: string): void {
  mkdirSync(`${source}/sub`);
  for (const name of ['small', 'sub/large']) {
    writeFileSync(`${source}/${name}`, 'content'.repeat(name === 'small' ? 1 : 50_000));
  }
  symlinkSync('small', `${source}/link`);
  execFileSync('mkfifo', [`${source}/pipe`]);
}

const PATHS = ['small', 'sub', 'sub/large', 'link', 'pipe'];

/** Gives each entry other attributes and ACLs than before. */
function change(source: string, round: number): void {
  for (const path of PATHS) {
    set(`${source}/${path}`, 'trusted.round', String(round));
    if (path !== 'link') execFileSync('setfacl', ['-m', `u:${round + 1}:r`, `${source}/${path}`]);
  }
  set(`${source}/small`, 'user.round', String(round));
  execFileSync('setfacl', ['-d', '-m', `u:${round + 1}:r`, `${source}/sub`]);
}

judgedWhere(hasBoth && hasStrace)('each call that sets or removes one names a descriptor and no entry', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  fill(source);
  let calls = 0;
  for (const round of [1, 2, 3]) {
    if (round < 3) change(source, round);
    else for (const path of PATHS) execFileSync('setfattr', ['-h', '-x', 'trusted.round', `${source}/${path}`]);
    if (round === 3) execFileSync('setfacl', ['-b', `${source}/small`, `${source}/sub`, `${source}/pipe`]);
    const trace = `${work}/trace${round}`;
    const [strace = '', ...options] = straced(trace, ['-e', 'trace=/.*(set|remove)xattr.*']);
    const args = [...options, process.execPath, program, '-aAX', `${source}/`, `${work}/copy`];
    t.is((await start(t, strace, args, { env: user.env }).ended).code, exit.ok);
    for (const line of readFileSync(trace, 'utf8').split('\n')) {
      const called = /\d+ +(l?(?:set|remove)xattr(?:at)?)\(("?[^,"]*"?)/.exec(line);
      if (called === null) continue;
      calls += 1;
      t.regex(line, /"\/proc\/self\/fd\/\d+", /, `round ${round}`);
    }
    t.is(dumped(`${work}/copy`), dumped(source), `round ${round}`);
  }
  t.true(calls > 15, `${calls} calls`);
});

const flipper = fileURLToPath(new URL('helpers/flipper.mjs', import.meta.url));

for (const [what, way] of [
  ['small', 'push'],
  ['sub', 'push'],
  ['small', 'pull'],
  ['sub', 'pull'],
] as const) {
  judgedWhere(hasBoth)(
    `${what} flips to a symlink that leads out: what it leads to gets neither (CVE-2026-53799, ${way})`,
    async (t) => {
      t.timeout(scaled(300_000, 3_600_000));
      const { work, served, access, url } = await setup(t, {
        rights: 'read,write,delete,owner,special,xattrs,acls',
      });
      const source = dir(way === 'push' ? work : served, 'source');
      const tree = way === 'push' ? `${served}/tree` : `${work}/tree`;
      const [from, to] = way === 'push' ? [source, url('tree')] : [url('source/'), tree];
      fill(source);
      const outside = dir(work, 'outside');
      writeFileSync(`${outside}/small`, 'not yours');
      writeFileSync(`${outside}/large`, 'not yours');
      const before = dumped(outside);
      const options = { ...access, acls: true, xattrs: true, owner: true, group: true };
      await sync(from, to, options);
      const place = `${tree}/${what}`;
      const race = start(t, process.execPath, [flipper, place, what === 'sub' ? outside : `${outside}/small`], {
        input: null,
      });
      for (let round = 1; round <= scaled(15, 300); round += 1) {
        change(source, round);
        // What is exchanged while it is worked on may fail, and may not get out.
        await sync(from, to, options).catch(() => undefined);
        t.is(dumped(outside), before, `round ${round}`);
      }
      race.child.stdin?.end();
      await race.ended;
      await sync(from, to, { ...options, delete: true, allowMassDelete: true });
      t.is(dumped(tree), dumped(source));
      t.is(dumped(outside), before);
    },
  );
}
