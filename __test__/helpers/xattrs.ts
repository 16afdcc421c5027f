import { spawnSync } from 'node:child_process';

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
