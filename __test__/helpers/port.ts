import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

import type { ExecutionContext } from 'ava';

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Serves TCP at a port of loopback until the test ends. */
export async function serveTcp(t: ExecutionContext, accept: (socket: Socket) => void): Promise<number> {
  const server = createServer(accept);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return portOf(server);
}

/** A TCP port of loopback that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const port = portOf(server);
      server.close(() => resolve(port));
    });
  });
}
