// Looks at a directory all the time, as one that it holds open, and tells which versions its files had together. Arguments: the names of the files.
// Standard input says where to look, a line each time, which is answered by a line: a directory, or with `/*` behind it each one in it that is not
// hidden. It ends when its standard input does.
import { closeSync, openSync, readFileSync, readdirSync } from 'node:fs';

const names = process.argv.slice(2);
let place;
let looks = 0;
const seen = {};

function lookAt(root) {
  let held;
  try {
    held = openSync(root, 'r');
  } catch {
    return;
  }
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

function look() {
  if (!place.endsWith('/*')) return lookAt(place);
  const series = place.slice(0, -2);
  try {
    for (const name of readdirSync(series)) if (!name.startsWith('.')) lookAt(`${series}/${name}`);
  } catch {
    // It is still to be made.
  }
}

function turn() {
  for (let count = 0; count < 50; count += 1) look();
  setImmediate(turn);
}

process.stdin.on('data', (line) => {
  const isFirst = place === undefined;
  place = line.toString().trim();
  process.stdout.write('\n');
  if (isFirst) turn();
});
process.stdin.on('end', () => {
  process.stdout.write(JSON.stringify({ looks, seen }));
  process.exit(0);
});
