// What the machine itself takes: copies without a network, and bytes over QUIC without files.
import { join } from 'node:path';

import { besideServer, near, timeAt } from './contender.js';
import type { Contender } from './contender.js';
import { within } from './links.js';
import { startService } from './processes.js';

/** `cp -a`. */
export const CP: Contender = {
  key: 'cp',
  title: 'cp -a',
  phases: ['first'],
  makesTree: true,
  enter: async (stage) => ({
    sync: async ({ destination }) => near(await timeAt(stage, ['cp', '-aT', stage.tree.path, destination])),
  }),
};

/** tar into tar. */
export const TAR: Contender = {
  key: 'tar',
  title: 'tar | tar',
  phases: ['first'],
  makesTree: true,
  enter: async (stage) => ({
    sync: async ({ destination }) => {
      const pipe = 'mkdir "$1" && tar -C "$0" -cf - . | tar -C "$1" -xpf -';
      return near(await timeAt(stage, ['/bin/sh', '-c', pipe, stage.tree.path, destination]));
    },
  }),
};

/** As many bytes over QUIC with this package's settings, from memory to memory, as a process. */
export const QUIC: Contender = {
  key: 'quic',
  title: 'QUIC, bytes alone',
  phases: ['first'],
  makesTree: false,
  async enter(stage) {
    const program = join(stage.programs, 'quic-floor');
    const { link } = stage;
    const service = await startService(...within(link.far, [program, 'serve', `${link.address}:0`]));
    const [address = '', key = ''] = service.line.split(' ');
    const port = address.slice(address.lastIndexOf(':') + 1);
    const command = [program, 'send', link.address, port, key, String(stage.tree.bytes)] as const;
    return {
      sync: () =>
        besideServer(service.pid, async (clocks) => ({ cost: await timeAt(stage, [...command], { clocks }) })),
      close: service.stop,
    };
  },
};
