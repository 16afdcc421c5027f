// Looks at a directory all the time, as one that it holds open, and tells which versions its files had together. Arguments: the directory, and the
// names of its files. Ends when its standard input does.
import { closeSync, openSync, readFileSync } from 'node:fs';

const [root, ...names] = process.argv.slice(2);
let looks = 0;
const seen = {};

function look() {
  const held = openSync(root, 'r');
  const versions = names.map((name) => {
    try {
      return readFileSync(`/proc/self/fd/${held}/${name}`, 'utf8').split('\n', 1)[0];
    } catch {
      return 'missing';
    }
  });
  closeSync(held);
  looks += 1;
  const together = [...new Set(versions)].toSorted((a, b) => a.localeCompare(b)).join('+');
  seen[together] = (seen[together] ?? 0) + 1;
}

function turn() {
  for (let count = 0; count < 50; count += 1) look();
  setImmediate(turn);
}

process.stdin.on('end', () => {
  process.stdout.write(JSON.stringify({ looks, seen }));
  process.exit(0);
});
process.stdin.resume();
process.stdout.write('\n');
turn();
