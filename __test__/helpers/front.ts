import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Transform, pipeline } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

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

/** A port of loopback in front of a server's, at which TCP goes through, and UDP as its socket is told to. */
async function frontOf(
  t: ExecutionContext,
  to: number,
  change?: (data: Buffer) => Buffer,
): Promise<{ readonly port: number; readonly udp: UdpSocket }> {
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
  return { port, udp };
}

/**
 * A port of loopback in front of a server's, at which TCP goes through and UDP is swallowed, as by a firewall; with `change`
 * somebody is there who sees and changes what clients send.
 */
export async function wall(t: ExecutionContext, to: number, change?: (data: Buffer) => Buffer): Promise<number> {
  const { port } = await frontOf(t, to, change);
  return port;
}

/** A port of loopback in front of a server's, at which the first packet of a client's handshake is lost. */
export async function forgetfulPort(t: ExecutionContext, to: number): Promise<number> {
  const { port, udp } = await frontOf(t, to);
  const inside = createSocket('udp4');
  udp.once('close', () => inside.close());
  let client: number | undefined;
  udp.on('message', (data, { port: from }) => {
    // Smaller datagrams look at the path, and are none of a handshake's first.
    const isFirst = client === undefined && data.length >= 1200;
    if (client === from) inside.send(data, to, '127.0.0.1');
    if (isFirst) client = from;
  });
  inside.on('message', (data) => {
    if (client !== undefined) udp.send(data, client, '127.0.0.1');
  });
  return port;
}

/** Lets through so many bytes every 5 ms, each of them 5 ms late; `seen` is told what has come. */
async function* slowly(
  from: AsyncIterable<Buffer>,
  bytes: number,
  seen: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  for await (const data of from) {
    seen(data.length);
    for (let at = 0; at < data.length; at += bytes) {
      await sleep(5);
      yield data.subarray(at, at + bytes);
    }
  }
}

export interface NarrowPath {
  readonly port: number;
  /** How many connections came, from the first on. */
  readonly came: () => number;
}

/**
 * A port in front of a server's on a path that is far, and gives each TCP connection little and another one as much again. `breaks`
 * cuts off a connection, by its number from 0, once it has carried so many bytes to the server.
 */
export async function narrowPath(
  t: ExecutionContext,
  to: number,
  breaks?: { readonly connection: number; readonly behind: number },
): Promise<NarrowPath> {
  let came = 0;
  const port = await serveTcp(t, (socket) => {
    const number = came;
    came += 1;
    let carried = 0;
    const server = connect(to, '127.0.0.1');
    const upwards = (bytes: number): void => {
      carried += bytes;
      if (breaks?.connection === number && carried >= breaks.behind) server.resetAndDestroy();
    };
    for (const [from, other, seen] of [
      [socket, server, upwards],
      [server, socket, () => {}],
    ] as const) {
      from.on('error', () => other.destroy());
      from.on('close', () => other.destroy());
      pipeline(
        from,
        (data: AsyncIterable<Buffer>) => slowly(data, 16 << 10, seen),
        other,
        () => {},
      );
    }
  });
  return { port, came: () => came };
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
