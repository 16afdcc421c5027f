// The log of a server whose disk is full for a while: what is lost is counted and told, and every line that is there is whole.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

import { exit, quietly } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { freePort } from './helpers/port.js';
import { until } from './helpers/process.js';
import { program } from './helpers/product.js';
import { remote } from './helpers/remote.js';
import { canMount, mountTmpfs, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

/** Fills a disk to its last byte. */
function fill(path: string): void {
  try {
    for (;;) writeFileSync(path, Buffer.alloc(1), { flag: 'a' });
  } catch {
    // It is full.
  }
}

const SERVERS = [
  ['command', [process.execPath, program]],
  ['static', [remote]],
] as const;

for (const [name, serving] of SERVERS) {
  for (const to of ['stderr', 'a file'] as const) {
    judgedWhere(canMount)(`a log on a disk that is full for a while goes on afterwards: ${to} (${name})`, async (t) => {
      const disk = `${workDir(t)}/disk`;
      t.true(mountTmpfs(t, disk, 'size=64k'));
      const [at, log] = [`127.0.0.1:${await freePort()}`, `${disk}/log`];
      const args = ['--metrics', at, '--verbose', ...(to === 'stderr' ? [] : ['--log-file', log])];
      const under = to === 'stderr' ? ['sh', '-c', `exec "$@" 2>>'${log}'`, 'sh'] : [];
      const { client: user, server, work, url } = await setup(t, { args, under, program: serving });
      const source = dir(work, 'source');
      const path = 'd'.repeat(200);
      writeFileSync(`${source}/f`, '');
      const push = (): Promise<void> => quietly(t, user, ['-r', '--mkpath', `${source}/`, url(path)]);
      const dropped = async (): Promise<number> => {
        const text = await (await fetch(`http://${at}/metrics`)).text();
        return Number(/^sparsync_log_dropped_total (\d+)$/m.exec(text)?.[1]);
      };
      await push();
      await until('its line', () => readFileSync(log, 'utf8').includes(' session '));
      writeFileSync(`${disk}/filler`, Buffer.alloc(32 << 10));
      fill(`${disk}/filler`);
      const sessions = (): number => readFileSync(log, 'utf8').split(' session ').length - 1;
      // What the last page of the log has room for is still written.
      const isLost = async (): Promise<boolean> =>
        to === 'stderr' ? (await dropped()) > 0 : server.stderr().includes(' info session ');
      for (let runs = 0; runs < 60 && !(await isLost()); runs += 1) await push();
      t.true(await isLost());
      if (to === 'a file') t.is(await dropped(), 0, 'they are on stderr');
      const before = sessions();
      rmSync(`${disk}/filler`);
      await push();
      await until('the line of the last one', () => sessions() > before);
      const lines = readFileSync(log, 'utf8').split('\n');
      for (const line of lines) t.notRegex(line, /.\d{4}-\d\d-\d\dT/, 'two lines in one');
      t.regex(lines.findLast((line) => line.includes(' session ')) ?? '', /^[\d:.TZ-]+ info session /);
      if (to === 'stderr')
        t.true(
          lines.some((line) => /error dropped count=\d/.test(line)),
          lines.join('\n'),
        );
      t.is((await server.stop()).code, exit.ok);
    });
  }
}
