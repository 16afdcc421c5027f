// A sync as it must not be: it writes each file in place. The kill test kills it in the middle of a file to show that
// its checker sees the tear.
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';

const [source, destination] = process.argv.slice(2);

for (const path of readdirSync(source, { recursive: true }).sort()) {
  if (!statSync(`${source}/${path}`).isFile()) continue;
  const content = readFileSync(`${source}/${path}`);
  const fd = openSync(`${destination}/${path}`, 'r+');
  writeSync(fd, content, 0, Math.ceil(content.length / 2));
  fsyncSync(fd);
  process.stdout.write(`half of ${path}\n`);
  // Where it stands when it is killed, however long that takes.
  process.kill(process.pid, 'SIGSTOP');
  writeSync(fd, content, Math.ceil(content.length / 2));
  closeSync(fd);
}
