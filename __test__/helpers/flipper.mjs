// Lets a path be, in turn and as fast as it goes, a directory (or a file) of its own and a symlink that leads out.
// Prints the number of flips so far now and then, goes on until its standard input ends, then puts the place in order.
import { renameSync, symlinkSync } from 'node:fs';

const [path, target] = process.argv.slice(2);
symlinkSync(target, `${path}.link-aside`);

let flips = 0;
let over = false;
process.stdin.on('data', () => undefined).on('end', () => (over = true));

function flip() {
  for (let i = 0; i < 200; i += 1) {
    try {
      renameSync(path, `${path}.own-aside`);
      renameSync(`${path}.link-aside`, path);
      renameSync(path, `${path}.link-aside`);
      renameSync(`${path}.own-aside`, path);
      flips += 1;
    } catch {
      // The sync itself made, replaced or removed something here; put all three names in order again.
      for (const [from, to] of [
        [path, `${path}.lost-${flips}`],
        [`${path}.own-aside`, path],
      ]) {
        try {
          renameSync(from, to);
        } catch {
          // Not there.
        }
      }
      try {
        symlinkSync(target, `${path}.link-aside`);
      } catch {
        // Still there.
      }
      flips += 1;
    }
  }
  process.stdout.write(`${flips}\n`);
  if (over) process.exit(0);
  setImmediate(flip);
}
flip();
