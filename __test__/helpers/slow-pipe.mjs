// A path that takes so many bytes a second: as a stream, and as a command that carries another one's standard streams by it.
//   slow-pipe.mjs BYTES_PER_SECOND COMMAND...
import { spawn } from 'node:child_process';
import { Transform } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** What is nearer than this is taken for a local network. */
const LEAST_MS = 3;

/** @param {number} bytesPerSecond */
export function slowPath(bytesPerSecond) {
  return new Transform({
    highWaterMark: 64 << 10,
    transform(chunk, _encoding, done) {
      setTimeout(() => done(null, chunk), LEAST_MS + (chunk.length / bytesPerSecond) * 1000);
    },
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [rate, program, ...args] = process.argv.slice(2);
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  for (const stream of [process.stdin, process.stdout, child.stdin, child.stdout]) stream.on('error', () => {});
  process.stdin.pipe(slowPath(Number(rate))).pipe(child.stdin);
  child.stdout.pipe(slowPath(Number(rate))).pipe(process.stdout);
  child.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}
