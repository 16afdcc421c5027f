// Clients that begin a handshake over QUIC and never go on: the first packet alone, again with the token that the server asks for,
// and nothing of what it answers is read. (RFC 9000, 9001 and 8446.)
import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const SALT = Buffer.from('38762cf7f55934b34d179ae6a4c80cadccbb7f0a', 'hex');
const DATAGRAM_BYTES = 1200;
const PACKET_NUMBER_BYTES = 4;
const TAG_BYTES = 16;
const ID_BYTES = 8;
const AT_ONCE = 20;

function hmac(key: Buffer, ...data: readonly Buffer[]): Buffer {
  return createHmac('sha256', key).update(Buffer.concat(data)).digest();
}

/** HKDF-Expand-Label without a context, for what one round gives. */
function expand(secret: Buffer, label: string, bytes: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  return hmac(secret, Buffer.from([0, bytes, name.length]), name, Buffer.from([0, 1])).subarray(0, bytes);
}

/** A vector behind its length of so many bytes. */
function vector(lengthBytes: 1 | 2 | 3, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(content.length, 0, lengthBytes);
  return Buffer.concat([length, content]);
}

function extension(kind: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([kind >> 8, kind & 0xff]), vector(2, ...parts)]);
}

function clientHello(sourceId: Buffer): Buffer {
  const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
  const parameters = Buffer.concat([
    bytes('0f'),
    vector(1, sourceId),
    bytes('04048000ffff'),
    bytes('080110'),
    bytes('090110'),
  ]);
  const body = Buffer.concat([
    bytes('0303'),
    randomBytes(32),
    vector(1),
    vector(2, bytes('1301')),
    vector(1, bytes('00')),
    vector(
      2,
      extension(0x0a, vector(2, bytes('001d'))),
      extension(0x0d, vector(2, bytes('080704030804'))),
      extension(0x10, vector(2, vector(1, Buffer.from('sparsync/1')))),
      extension(0x2b, vector(1, bytes('0304'))),
      extension(0x2d, vector(1, bytes('01'))),
      extension(0x33, vector(2, bytes('001d'), vector(2, randomBytes(32)))),
      extension(0x39, parameters),
    ),
  ]);
  return Buffer.concat([bytes('01'), vector(3, body)]);
}

function twoBytes(value: number): Buffer {
  return Buffer.from([0x40 | (value >> 8), value & 0xff]);
}

/** The datagram with the first packet of a client. */
function initial(to: Buffer, sourceId: Buffer, hello: Buffer, token: Buffer, number: number): Buffer {
  const secret = expand(hmac(SALT, to), 'client in', 32);
  const [key, iv, mask] = [
    expand(secret, 'quic key', 16),
    expand(secret, 'quic iv', 12),
    expand(secret, 'quic hp', 16),
  ];
  const start = Buffer.concat([
    Buffer.from([0xc0 | (PACKET_NUMBER_BYTES - 1), 0, 0, 0, 1]),
    vector(1, to),
    vector(1, sourceId),
    twoBytes(token.length),
    token,
  ]);
  const room = DATAGRAM_BYTES - start.length - 2;
  const packetNumber = Buffer.alloc(PACKET_NUMBER_BYTES);
  packetNumber.writeUInt32BE(number);
  const header = Buffer.concat([start, twoBytes(room), packetNumber]);
  const plain = Buffer.alloc(room - PACKET_NUMBER_BYTES - TAG_BYTES);
  Buffer.concat([Buffer.from([0x06, 0]), twoBytes(hello.length), hello]).copy(plain);
  const nonce = Buffer.from(iv);
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ number) >>> 0, 8);
  const cipher = createCipheriv('aes-128-gcm', key, nonce);
  cipher.setAAD(header);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const hidden = createCipheriv('aes-128-ecb', mask, null).update(sealed.subarray(0, 16));
  header[0] = (header[0] ?? 0) ^ ((hidden[0] ?? 0) & 0x0f);
  for (let at = 0; at < PACKET_NUMBER_BYTES; at += 1) {
    const place = header.length - PACKET_NUMBER_BYTES + at;
    header[place] = (header[place] ?? 0) ^ (hidden[at + 1] ?? 0);
  }
  return Buffer.concat([header, sealed]);
}

/** Handshakes that were begun and are left there. */
export class HalfOpen implements Disposable {
  readonly #sockets: readonly Socket[];
  readonly #hellos = new Map<string, Buffer>();
  readonly #begun = new Set<string>();
  readonly #retried = new Set<string>();
  readonly #port: number;

  private constructor(sockets: readonly Socket[], port: number, shows: boolean) {
    this.#sockets = sockets;
    this.#port = port;
    for (const socket of sockets) socket.on('message', (data) => this.#answered(socket, data, shows));
  }

  /** Begins so many at a port of loopback, from so many ports; with `shows`, each shows its address when it is asked to. */
  static async begin(port: number, count: number, ports: number, shows: boolean): Promise<HalfOpen> {
    const listening = async (): Promise<Socket> => {
      const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      return socket;
    };
    const sockets = await Promise.all(Array.from({ length: ports }, listening));
    const all = new HalfOpen(sockets, port, shows);
    for (let number = 0; number < count; number += 1) {
      const sourceId = randomBytes(ID_BYTES);
      const hello = clientHello(sourceId);
      all.#hellos.set(sourceId.toString('hex'), hello);
      all.#send(sockets[number % ports], initial(randomBytes(ID_BYTES), sourceId, hello, Buffer.alloc(0), 0));
      // What the server's socket has no room for would be no handshake.
      if (number % AT_ONCE === AT_ONCE - 1) await sleep(1);
    }
    return all;
  }

  /** Those that the server has begun to answer. */
  get begun(): number {
    return this.#begun.size;
  }

  /** Those that it has asked to show their address. */
  get retried(): number {
    return this.#retried.size;
  }

  #send(socket: Socket | undefined, datagram: Buffer): void {
    socket?.send(datagram, this.#port, '127.0.0.1');
  }

  #answered(socket: Socket, data: Buffer, shows: boolean): void {
    const first = data[0] ?? 0;
    // Long headers alone say in the clear whom they are for.
    if ((first & 0x80) === 0) return;
    const to = data.subarray(6, 6 + (data[5] ?? 0));
    const at = 6 + to.length;
    const from = data.subarray(at + 1, at + 1 + (data[at] ?? 0));
    const who = to.toString('hex');
    const hello = this.#hellos.get(who);
    if (hello === undefined) return;
    if ((first & 0x30) !== 0x30) {
      this.#begun.add(who);
    } else if (!this.#retried.has(who)) {
      this.#retried.add(who);
      const token = data.subarray(at + 1 + from.length, data.length - TAG_BYTES);
      if (shows) this.#send(socket, initial(from, to, hello, token, 1));
    }
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close();
  }
}
