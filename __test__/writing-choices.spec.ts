// Room that is reserved, and what is compressed: --preallocate, --compress-choice, --compress-level, --skip-compress.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

import { besideRsync, make } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { assertEqual, judged, judgedWhere } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { setup } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';

const KIB = 1 << 10;

judgedWhere(hasStrace)('the room of each file is reserved, without a change of its length', async (t) => {
  const set = await setup(t);
  const { work, client: user } = set;
  make(work, { 's/small': 'small', 's/empty': '' });
  writeFileSync(`${work}/s/large`, new Random(t.title).bytes(300 * KIB));
  const run = async (name: string, fault: string[] = []) => {
    const trace = `${work}/trace`;
    const filter = ['trace=fallocate', ...fault].flatMap((one) => ['-e', one]);
    const [strace = '', ...words] = straced(trace, [...filter, process.execPath, program, '-a', '--preallocate']);
    const ran = await start(t, strace, [...words, `${work}/s/`, `${work}/${name}/`], { env: user.env }).ended;
    return {
      ...ran,
      calls: readFileSync(trace, 'latin1').match(/fallocate\(\d+, FALLOC_FL_KEEP_SIZE, 0, \d+/g) ?? [],
    };
  };
  const reserved = await run('d');
  t.deepEqual([reserved.code, reserved.stderr, reserved.calls.length], [0, '', 2]);
  assertEqual(t, `${work}/s`, `${work}/d`);
  const unable = await run('unable', ['inject=fallocate:error=EOPNOTSUPP']);
  t.is(unable.code, 0);
  t.regex(unable.stderr, /no space was reserved/);
  assertEqual(t, `${work}/s`, `${work}/unable`);
  const full = await run('full', ['inject=fallocate:error=ENOSPC']);
  t.not(full.code, 0);
  t.regex(full.stderr, /No space left/);
  t.is((await cli(t, user, ['-aS', '--preallocate', `${work}/s/`, `${work}/e/`])).code, exit.usage);
  await besideRsync(t, set, {
    model: make(`${work}/model`, { 's/a': 'a', 'd/a@1500000000': 'old' }),
    flags: ['-ai', '--preallocate'],
  });
});

judged('what compresses is chosen by name and level, and some names are left out', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/x': 'x' });
  const content = Buffer.alloc(400 * KIB, 'the same few words again and again ');
  writeFileSync(`${work}/s/page.txt`, content);
  writeFileSync(`${work}/s/small.TXT`, content.subarray(0, 20 * KIB));
  for (const [flags, isSmall] of [
    [['-z'], true],
    [['--zc=lz4'], true],
    [['--compress-choice=lz4'], true],
    [['--zl=9'], true],
    [['--compress-level=1'], true],
    [['-z', '--skip-compress=gz/jpg'], true],
    [['--zc=none', '--compress-choice=lz4'], true],
    [['--compress-level=0', '--zl=9'], true],
    [['-z', '--compress-choice=lz4', '--zc=none'], false],
    [['-z', '--zc=none'], false],
    [['--zc=none'], false],
    [['-z', '--zl=0'], false],
    [['-z', '--skip-compress=gz/t[xy]t'], false],
  ] as const) {
    rmSync(`${served}/d`, { recursive: true, force: true });
    const ran = await cli(t, user, ['-a', '--stats', ...flags, `${work}/s/`, url('d')]);
    t.deepEqual([ran.code, ran.stderr], [0, ''], flags.join(' '));
    const sent = Number(/Total bytes sent: ([\d,]+)/.exec(ran.stdout)?.[1]?.replaceAll(',', ''));
    t.is(sent < 200 * KIB, isSmall, `${flags.join(' ')}: ${sent}`);
    t.true(readFileSync(`${served}/d/page.txt`).equals(content));
  }
  for (const [flag, said] of [
    ['--zc=zstd', /lz4, none or auto/],
    ['--compress-choice=zlib', /lz4, none or auto/],
    ['--zl=most', /whole number/],
    [`--skip-compress=${'a'.repeat(5000)}`, /4096 bytes/],
  ] as const) {
    const ran = await cli(t, user, ['-a', flag, `${work}/s/`, url('e')]);
    t.is(ran.code, exit.usage, flag);
    t.regex(ran.stderr, said, flag);
  }
});
