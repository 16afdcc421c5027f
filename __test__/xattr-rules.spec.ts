// Rules for names of extended attributes decide which are set and which stay, as with rsync.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';

import { connect, sync } from '../dist/index.js';
import { judgedWhere, rsync } from './helpers/judge.js';
import { setup } from './helpers/setup.js';

const hasSetfattr = spawnSync('setfattr', ['--version']).status === 0;

function grow(tree: string, names: readonly string[]): void {
  mkdirSync(`${tree}/d`, { recursive: true });
  writeFileSync(`${tree}/d/f`, 'same');
  // A file of another time would be sent again, and a new one has none of the attributes that rules leave alone.
  utimesSync(`${tree}/d/f`, 1_700_000_000, 1_700_000_000);
  for (const path of ['d', 'd/f']) {
    for (const name of names) execFileSync('setfattr', ['-n', name, '-v', tree.slice(-1), `${tree}/${path}`]);
  }
}

function attributes(tree: string): string {
  return execFileSync('getfattr', ['-R', '-m', '^user', '-d', 'd'], { cwd: tree, encoding: 'utf8' });
}

judgedWhere(hasSetfattr)('rules for names of extended attributes set and keep what rsync sets and keeps', async (t) => {
  const { work, served, access, server } = await setup(t);
  const connection = await connect(server.url(), access);
  let number = 0;
  for (const { rules, deleteExcluded } of [
    { rules: ['-x user.a'] },
    { rules: ['-x user.keep'] },
    { rules: ['+x user.a', '-x user.*'] },
    { rules: ['-xs user.keep', '- none'] },
    { rules: ['-xr user.keep'] },
    { rules: ['Px user.keep', 'Hx user.b'] },
    { rules: ['-x! user.a'] },
    { rules: ['-x /user.a', '-x a', '-x */b'] },
    { rules: ['-x user.keep'], deleteExcluded: true },
  ]) {
    number += 1;
    const source = `${served}/${number}/source-s`;
    const [judge, local, pulled] = ['judge', 'local', 'pulled'].map((name) => `${work}/${number}/${name}-d`) as [
      string,
      string,
      string,
    ];
    const pushed = `${served}/${number}/pushed-d`;
    grow(source, ['user.a', 'user.b']);
    for (const tree of [judge, local, pulled, pushed]) grow(tree, ['user.a', 'user.old', 'user.keep']);
    const flags = deleteExcluded === true ? ['--delete', '--delete-excluded'] : [];
    rsync('-rX', ...flags, ...rules.map((rule) => `--filter=${rule}`), `${source}/`, `${judge}/`);
    const options = {
      filter: rules,
      xattrs: true,
      times: false,
      perms: false,
      deleteExcluded: deleteExcluded === true,
    };
    const loose = { ...options, compare: 'content' as const, allowMassDelete: true };
    await sync(source, local, loose);
    await connection.push(source, `root/${number}/pushed-d`, loose);
    await connection.pull(`root/${number}/source-s`, pulled, loose);
    for (const tree of [local, pushed, pulled]) t.is(attributes(tree), attributes(judge), rules.join(', '));
  }
  await connection.close();
});
