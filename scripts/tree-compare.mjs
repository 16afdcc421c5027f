// An independent judge of two trees: plain node:fs, none of our engine. Compares type, mode, mtime, content and link text.
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

const SLASH = Buffer.from('/');

function kindOf(stat) {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  return stat.isSymbolicLink() ? 'symlink' : 'special';
}

/** What can be said of one entry, as text, so that equal entries have equal texts. */
function describe(path) {
  const stat = lstatSync(path, { bigint: true });
  const kind = kindOf(stat);
  if (kind === 'symlink')
    return { kind, text: `symlink to ${readlinkSync(path, 'buffer').toString('latin1')} ${stat.mtimeNs}` };
  const content = kind === 'file' ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
  return { kind, text: `${kind} ${(stat.mode & 0o7777n).toString(8)} ${stat.mtimeNs} ${content}` };
}

/** Every entry below `root`, by its path in latin1 (names are bytes), with a description. */
export function describeTree(root) {
  const entries = new Map();
  const visit = (path, relative) => {
    const { kind, text } = describe(path);
    entries.set(relative.toString('latin1'), text);
    if (kind !== 'directory') return;
    for (const name of readdirSync(path, { encoding: 'buffer' })) {
      visit(Buffer.concat([path, SLASH, name]), relative.length === 0 ? name : Buffer.concat([relative, SLASH, name]));
    }
  };
  visit(Buffer.from(root), Buffer.alloc(0));
  return entries;
}

/** The differences of two trees, for people; none is an empty list. */
export function compareTrees(left, right) {
  const [a, b] = [describeTree(left), describeTree(right)];
  const differences = [];
  for (const [path, text] of a) {
    if (b.get(path) !== text) differences.push(`${path || '.'}: ${text} | ${b.get(path) ?? 'missing'}`);
  }
  for (const path of b.keys()) if (!a.has(path)) differences.push(`${path}: extra`);
  return { entries: a.size, differences };
}
