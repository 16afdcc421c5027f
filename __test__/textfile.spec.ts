// What node_exporter's collector of text files finds of runs, judged by Prometheus' own tool.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { cli, exit } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { client } from './helpers/product.js';
import { dir, workDir } from './helpers/temp.js';

const canCheck = spawnSync('promtool', ['--version']).status === 0;

/** The figures of a file by their names, which all have the same labels. */
function figures(t: ExecutionContext, file: string): { labels: string; of: Readonly<Record<string, number>> } {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const parts = lines.map((line) => /^(sparsync_\w+)(\{.*\}) (\S+)$/.exec(line) ?? t.fail(line));
  t.is(new Set(parts.map((part) => part[2])).size, 1);
  return { labels: parts[0]?.[2] ?? '', of: Object.fromEntries(parts.map((part) => [part[1], Number(part[3])])) };
}

judgedWhere(canCheck)(
  'a file for node_exporter tells of a run, and after a failure of the last success too',
  async (t) => {
    const work = workDir(t);
    const user = client(work);
    const source = dir(work, 'a "source" \\');
    writeFileSync(`${source}/a`, 'content');
    const file = `${work}/job.prom`;
    const run = (from: string, ...more: readonly string[]) =>
      cli(t, user, ['-a', '--textfile', file, ...more, from, `${work}/copy/`]);
    const check = (): void => {
      const judged = spawnSync('promtool', ['check', 'metrics'], { input: readFileSync(file), encoding: 'utf8' });
      t.deepEqual([judged.status, judged.stdout, judged.stderr], [0, '', '']);
    };
    const before = Date.now() / 1000;
    t.is((await run(`${source}/`)).code, exit.ok);
    check();
    const first = figures(t, file);
    t.true((first.of['sparsync_last_success_timestamp_seconds'] ?? 0) >= before - 0.001);
    t.like(first.of, {
      sparsync_last_run_exit_code: 0,
      sparsync_last_run_files_transferred: 1,
      sparsync_last_run_content_bytes: 7,
      sparsync_last_run_failures: 0,
    });
    t.is(first.labels, `{source="${work}/a \\"source\\" \\\\/",destination="${work}/copy/"}`);
    t.is(statSync(file).mode & 0o777, 0o644);

    // A conflict: a folder stands in the file's place.
    rmSync(`${work}/copy/a`);
    mkdirSync(`${work}/copy/a/in the way`, { recursive: true });
    t.is((await run(`${source}/`)).code, exit.partial);
    check();
    const second = figures(t, file);
    t.is(
      second.of['sparsync_last_success_timestamp_seconds'],
      first.of['sparsync_last_success_timestamp_seconds'],
      'the last success is kept',
    );
    t.like(second.of, { sparsync_last_run_exit_code: 23, sparsync_last_run_failures: 1 });

    const written = readFileSync(file, 'utf8');
    t.is((await run(`${source}/`, '-n')).code, exit.partial);
    t.is(readFileSync(file, 'utf8'), written, 'a dry run is none');
    t.is((await run(`${work}/other/`)).code, exit.partial);
    t.false('sparsync_last_success_timestamp_seconds' in figures(t, file).of, 'another source had no success');
    check();
    t.deepEqual(
      readdirSync(work).filter((name) => name.endsWith('.tmp')),
      [],
    );
  },
);

test('a file for node_exporter that cannot be written is told, and takes nothing from the run', async (t) => {
  const work = workDir(t);
  writeFileSync(`${dir(work, 'source')}/a`, 'content');
  const args = ['-a', '--textfile', `${work}/none/job.prom`, `${work}/source/`, `${work}/copy/`];
  const ended = await cli(t, client(work), args);
  t.is(ended.code, exit.output);
  t.regex(ended.stderr, /^error\[ERR_SPARSYNC_IO\]: cannot write the text file/);
  t.is(readFileSync(`${work}/copy/a`, 'utf8'), 'content');
});
