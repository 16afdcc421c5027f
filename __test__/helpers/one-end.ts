import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { buildProgram } from './cargo.js';
import { start, until } from './process.js';

/** Whether instructions can be counted here: with valgrind, and with cargo for the program that is counted. */
export const countsInstructions: boolean =
  spawnSync('valgrind', ['--version']).status === 0 && spawnSync('cargo', ['--version']).status === 0;

/** Builds the program that runs one end of a push without Node, and says where it is. */
export function buildOneEnd(): string {
  return buildProgram('one-end');
}

function instructions(file: string): number {
  return Number(/^totals: (\d+)$/m.exec(readFileSync(file, 'latin1'))?.[1]);
}

/** Instructions in user space of both ends of a push, each a process of its own from its start to its end. */
export async function countPush(
  t: ExecutionContext,
  program: string,
  work: string,
  push: { readonly source: string; readonly served: string; readonly path: string },
): Promise<{ readonly client: number; readonly server: number; readonly transferred: number }> {
  const file = (end: string): string => `${work}/${end}.callgrind`;
  const under = (end: string): string[] => ['--tool=callgrind', `--callgrind-out-file=${file(end)}`, program];
  const server = start(t, 'valgrind', [...under('server'), 'serve', push.served], { input: null });
  await until(
    'the server under valgrind',
    () => {
      if (server.over()) throw new Error(`the server ended at once: ${server.stderr()}`);
      return server.stdout().includes('\n');
    },
    120_000,
  );
  const [address = '', key = ''] = server.stdout().trim().split(' ');
  const [host = '', port = ''] = address.split(':');
  const client = await start(t, 'valgrind', [...under('client'), 'push', push.source, host, port, key, push.path])
    .ended;
  t.is(client.code, 0, client.stderr);
  server.child.stdin?.end();
  if (!server.over()) await once(server.child, 'exit');
  t.is((await server.ended).code, 0, server.stderr());
  return {
    client: instructions(file('client')),
    server: instructions(file('server')),
    transferred: Number(/^files_transferred (\d+)$/m.exec(client.stdout)?.[1]),
  };
}
