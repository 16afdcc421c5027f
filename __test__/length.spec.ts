// A length on disk that runs ahead of the data is what a power cut turns into a file of zeros with the right size and
// time, which no later run sees. So files grow by being written, and by nothing else.
import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { assertEqual, judgedWhere } from './helpers/judge.js';
import { type Ended, start } from './helpers/process.js';
import { type Client, client, program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { hasStrace, straced } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';

/** What a file consists of, in this order: lengths of data, and negative ones of holes. */
type Layout = readonly number[];

const files: Readonly<Record<string, Layout>> = {
  empty: [],
  small: [5000],
  large: [700_000],
  'hole-first': [-400_000, 300_000],
  'hole-within': [300_000, -500_000, 200_000, -1 << 20, 4096],
  'hole-last': [300_000, -500_000],
  'hole-only': [-900_000],
};

function make(path: string, layout: Layout, random: Random): void {
  const file = openSync(path, 'w');
  let at = 0;
  for (const part of layout) {
    if (part > 0) writeSync(file, random.bytes(part), 0, part, at);
    at += Math.abs(part);
  }
  ftruncateSync(file, at);
  closeSync(file);
}

/** What a run did to each file that it wrote, by the name that the file has in the end. */
interface Written {
  /** Its length was set beyond its data. */
  extended: boolean;
  /** It was flushed after that and before its time was set. */
  flushed: boolean;
  /** Where it was first written. */
  from: number | undefined;
}

/** Follows the calls of a trace that was made with `-y`. `lengths` is what temporary files had before. */
function follow(trace: string, lengths: ReadonlyMap<string, number>): Map<string, Written> {
  const open = new Map<string, Written & { length: number; pending: boolean }>();
  const done = new Map<string, Written>();
  const ofFile = (path: string): Written & { length: number; pending: boolean } => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const known = open.get(name) ?? {
      length: lengths.get(name) ?? 0,
      extended: false,
      flushed: true,
      pending: false,
      from: undefined,
    };
    open.set(name, known);
    return known;
  };
  for (const line of readFileSync(trace, 'latin1').split('\n')) {
    // `call(3</path>, "", 10, 0`, whether it ends on this line or on a later one.
    const onFile = /^\d+ +([a-z0-9_]+)\(\d+<(\/[^>]*\.sps-[^>/]*)>(.*)$/.exec(line);
    if (onFile !== null) {
      const [, call = '', path = '', rest = ''] = onFile;
      const numbers = [...rest.replaceAll(/"[^"]*"\.*/g, '').matchAll(/, (\d+)/g)].map((found) => Number(found[1]));
      const file = ofFile(path);
      if (call === 'pwrite64') {
        const [bytes = NaN, offset = NaN] = numbers;
        file.from ??= offset;
        file.length = Math.max(file.length, offset + bytes);
      } else if (call === 'ftruncate') {
        const [length = NaN] = numbers;
        if (length > file.length) Object.assign(file, { extended: true, flushed: false, pending: true });
        file.length = length;
      } else if (call === 'fsync' || call === 'fdatasync') file.pending = false;
      else if (call === 'utimensat') file.flushed = !file.pending;
      else if (call !== 'fallocate' || !rest.includes('FALLOC_FL_KEEP_SIZE')) throw new Error(`not foreseen: ${line}`);
      continue;
    }
    const renamed = /renameat2?\([^,]*, "(\.sps-[^"]*)", [^,]*, "([^"]*)"/.exec(line);
    if (renamed !== null) {
      const { extended, flushed, from } = ofFile(renamed[1] ?? '');
      done.set(renamed[2] ?? '', { extended, flushed, from });
    }
  }
  return done;
}

/** Calls that change a length or a time, or make what was written last. */
const traced =
  'trace=pwrite64,write,pwritev,pwritev2,ftruncate,fallocate,copy_file_range,sendfile,fsync,fdatasync,utimensat,renameat,renameat2';

function run(t: ExecutionContext, user: Client, options: readonly string[], words: readonly string[]): Promise<Ended> {
  const [strace = '', ...rest] = straced(options[0] ?? '', options.slice(1));
  return start(t, strace, [...rest, process.execPath, program, '-a', ...words], { env: user.env }).ended;
}

// Seen red with a length that is set at the end of each large file.
judgedWhere(hasStrace)('the length of a file on disk never runs ahead of its data', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const [source, destination] = [dir(work, 'source'), dir(work, 'destination')];
  const random = new Random(t.title);
  for (const [name, layout] of Object.entries(files)) make(`${source}/${name}`, layout, random);

  const trace = `${work}/trace`;
  const ran = await run(t, user, [trace, '-y', '-s', '0', '-e', traced], [`${source}/`, `${destination}/`]);
  t.is(ran.code, 0, ran.stderr);
  assertEqual(t, `${source}/`, `${destination}/`);
  const written = follow(trace, new Map());
  t.deepEqual([...written.keys()].toSorted(), Object.keys(files).toSorted());
  const extended = [...written].filter(([, file]) => file.extended).map(([name]) => name);
  t.deepEqual(extended.toSorted(), ['hole-last', 'hole-only'], 'what no write makes that long');
  t.deepEqual(
    [...written].filter(([, file]) => !file.flushed).map(([name]) => name),
    [],
    'the time of a file whose last hole is not on disk',
  );
});

judgedWhere(hasStrace)('the length of a file that is gone on with never runs ahead of its data', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const [source, destination] = [dir(work, 'source'), dir(work, 'destination')];
  make(`${source}/resumed`, [8 << 20, -1 << 20, 300_000, -1 << 20], new Random(t.title));
  // In packs, as over a network: the kernel copies without them.
  const words = ['--verify-copies', `${source}/`, `${destination}/`];
  // Killed in the middle of the data.
  const kill = ['-e', 'trace=pwrite64', '-e', 'inject=pwrite64:signal=SIGKILL:when=20'];
  await run(t, user, [`${work}/killed`, ...kill], words);
  const part = readdirSync(destination).find((name) => name.endsWith('.part')) ?? '';
  const { size } = statSync(`${destination}/${part}`);
  t.true(size >= 4 << 20 && size < 8 << 20, `a part of ${size} bytes is kept`);

  const trace = `${work}/trace`;
  const ran = await run(t, user, [trace, '-y', '-s', '0', '-e', traced], words);
  t.is(ran.code, 0, ran.stderr);
  assertEqual(t, `${source}/`, `${destination}/`);
  t.deepEqual(
    [...follow(trace, new Map([[part, size]]))],
    [['resumed', { extended: true, flushed: true, from: size }]],
  );
});
