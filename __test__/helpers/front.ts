import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Transform } from 'node:stream';

import type { ExecutionContext } from 'ava';

import { serveTcp } from './port.js';

/** Carries bytes between two sockets until either ends; `change` has its way with those of the first. */
function join(one: Socket, other: Socket, change = (data: Buffer): Buffer => data): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
  one.pipe(new Transform({ transform: (data: Buffer, _encoding, done) => done(null, change(data)) })).pipe(other);
  other.pipe(one);
}

/**
 * A port of loopback in front of a server's, at which TCP goes through and UDP is swallowed, as by a firewall; with `change`
 * somebody is there who sees and changes what clients send.
 */
export async function wall(t: ExecutionContext, to: number, change?: (data: Buffer) => Buffer): Promise<number> {
  const udp = createSocket('udp4');
  udp.bind(0, '127.0.0.1');
  await once(udp, 'listening');
  const { port } = udp.address();
  const tcp = createServer((socket) => join(socket, connect(to, '127.0.0.1'), change));
  tcp.listen(port, '127.0.0.1');
  await once(tcp, 'listening');
  t.teardown(() => {
    udp.close();
    tcp.close();
  });
  return port;
}

/** Nothing of what this machine has for proxies. */
export const NO_PROXIES = { https_proxy: '', HTTPS_PROXY: '', no_proxy: '', NO_PROXY: '' };

export interface TestProxy {
  readonly port: number;
  /** The heads of what it was asked. */
  readonly asked: string[];
}

/** A proxy that takes `CONNECT` alone and leads to `to`, whatever it is asked for; with `user`, to who says so. */
export async function connectProxy(t: ExecutionContext, to: number, user?: string): Promise<TestProxy> {
  const asked: string[] = [];
  const port = await serveTcp(t, (socket) => {
    let head = '';
    const take = (data: Buffer): void => {
      head += data.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', take);
      asked.push(head);
      const authorization = `Basic ${Buffer.from(user ?? '').toString('base64')}`;
      if (user !== undefined && !head.includes(`Proxy-Authorization: ${authorization}\r\n`)) {
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n');
        return;
      }
      const through = connect(to, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        join(socket, through);
      });
    };
    socket.on('data', take);
    socket.on('error', () => socket.destroy());
  });
  return { port, asked };
}
