// Hard links over a million names (by default over some thousands): memory of both ends, in a first run, one without a change,
// and one in which every link has to be made anew. Node and a small run are what a process takes without them.
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import type { ExecutionContext } from 'ava';

import { besideRsync } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { statusKib } from './helpers/process.js';
import { canMount, long, mountTmpfs, scaled, type Setup, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';

const USER = 65_534;

const names = scaled(20_000, 1_000_000);
const inodes = names / 2;

/** What hard links may take: 24 MiB, 100 bytes an entry, 32 a linked inode. */
const limitKib = (24 * 1024 * 1024 + 100 * names + 32 * inodes) / 1024;

const peak = pathToFileURL(new URL('helpers/peak.mjs', import.meta.url).pathname).href;

/** A day of files, and the next day of links to all of them, as backups have them. */
function twoDays(root: string, files: number): void {
  for (let at = 0; at < files; at += 1) {
    const directory = String(Math.floor(at / 1000)).padStart(4, '0');
    if (at % 1000 === 0) {
      for (const day of ['monday', 'tuesday']) mkdirSync(`${root}/${day}/${directory}`, { recursive: true });
    }
    const path = `${directory}/file-${String(at).padStart(7, '0')}.txt`;
    writeFileSync(`${root}/monday/${path}`, at % 8 === 0 ? `content ${at}` : '');
    linkSync(`${root}/monday/${path}`, `${root}/tuesday/${path}`);
  }
}

interface Peaks {
  readonly client: number;
  readonly server: number;
}

async function peaks(
  t: ExecutionContext,
  { work, client: user, server }: Setup,
  args: readonly string[],
): Promise<Peaks> {
  const peakFile = `${work}/peak`;
  const env = { NODE_OPTIONS: `--import=${peak}`, SPARSYNC_TEST_PEAK_FILE: peakFile };
  const ran = await cli(t, user, args, { env });
  t.deepEqual([ran.code, ran.signal, ran.stderr], [exit.ok, null, ''], args.join(' '));
  return { client: Number(readFileSync(peakFile, 'utf8')), server: statusKib(server.pid, 'VmHWM') };
}

judged(`${names} names of ${inodes} files: memory stays within what is promised`, async (t) => {
  t.timeout(scaled(300_000, 7_200_000));
  const all = await setup(t);
  const { work, served, url } = all;
  const source = `${work}/source`;
  if (long && canMount) {
    for (const path of [source, `${served}/tree`]) t.true(mountTmpfs(t, path, 'size=8g,nr_inodes=0'));
  }
  twoDays(`${work}/small`, 1000);
  const without = await peaks(t, all, ['-aH', `${work}/small/`, url('small')]);
  twoDays(source, inodes);
  const run = async (what: string, args: readonly string[]): Promise<void> => {
    const found = await peaks(t, all, args);
    const [client, server] = [found.client - without.client, found.server - without.server];
    t.log(`${what}: ${(client / 1024).toFixed(0)} MiB at the client, ${(server / 1024).toFixed(0)} MiB at the server`);
    t.true(client <= limitKib, `${what}: the client took ${client} KiB more, of ${limitKib}`);
    t.true(server <= limitKib, `${what}: the server took ${server} KiB more, of ${limitKib}`);
    t.is(execFileSync('rsync', ['-aHin', '--delete', `${source}/`, `${served}/tree/`], { encoding: 'utf8' }), '', what);
  };
  await run('first push', ['-aH', `${source}/`, url('tree')]);
  await run('push without a change', ['-aH', '--delete', `${source}/`, url('tree')]);
  // The same content, and no links.
  execFileSync('sh', ['-c', 'rm -rf "$1/tuesday" && cp -a "$1/monday" "$1/tuesday"', 'apart', `${served}/tree`]);
  await run('push that makes each link', ['-aH', `${source}/`, url('tree')]);
});

judgedWhere(canBecome)(
  'a plain user links many files as rsync does, and makes those links anew that are missing',
  async (t) => {
    t.timeout(scaled(120_000, 3_600_000));
    const set = await setup(t);
    for (const state of ['new', 'apart'] as const) {
      const model = dir(set.work, state);
      twoDays(`${model}/s`, scaled(3000, 100_000));
      if (state === 'apart') {
        execFileSync('sh', [
          '-c',
          'cp -a "$1/s/monday" "$1/day" && mkdir "$1/d" && mv "$1/day" "$1/d/tuesday"',
          'apart',
          model,
        ]);
      }
      execFileSync('chown', ['-R', `${USER}:${USER}`, model]);
      const [ran] = await besideRsync(t, set, {
        model,
        flags: ['-aHi'],
        ways: ['local'],
        as: ['setpriv', ...becoming(USER)],
      });
      t.is(ran?.code, exit.ok, ran?.stderr);
    }
  },
);
