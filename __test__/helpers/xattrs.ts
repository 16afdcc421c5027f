import { spawnSync } from 'node:child_process';

import { base } from './temp.js';

const TRY_ACL = 'd=$(mktemp -d -p "$1") && setfacl -m u:7:r "$d"; s=$?; rm -r "$d"; exit $s';

/** Whether ACLs can be set where the tests have their trees, tried out. */
export const hasAcls: boolean = spawnSync('sh', ['-c', TRY_ACL, 'try', base]).status === 0;

/**
 * Names and values of the extended attributes at and below `root` that match `pattern`, by `getfattr`: a paragraph for
 * each entry, in one order whatever the file system lists.
 */
export function dumped(root: string, pattern = '-'): string {
  const args = ['-R', '-P', '-h', '-d', '-e', 'hex', '-m', pattern, '.'];
  const ran = spawnSync('getfattr', args, { cwd: root, encoding: 'latin1', maxBuffer: 1 << 28 });
  if (ran.status !== 0) throw new Error(`getfattr: ${ran.stderr}`);
  return ran.stdout
    .split('\n\n')
    .map((one) => one.split('\n').toSorted().join('\n'))
    .toSorted()
    .join('\n\n');
}
