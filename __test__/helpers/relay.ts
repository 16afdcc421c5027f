import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';

import { urlAt } from './url.js';

/** `up` is from the client to the server. */
export type Direction = 'up' | 'down';

export interface RelayOptions {
  /** The server's UDP port on loopback. */
  readonly to: number;
  /** One-way delay of each datagram in ms (default 0): a round trip takes twice as long. */
  readonly delayMs?: number;
  /** Share of the datagrams that are lost, 0 to 1 (default 0). */
  readonly loss?: number;
  /** Chooses what is lost: 0 to 1, `Math.random` unless given. */
  readonly draw?: () => number;
  /** With a delay, datagrams of the client that are due together arrive the last one first. */
  readonly overtakes?: boolean;
}

interface Waiting {
  readonly due: number;
  readonly send: () => void;
}

/** Sends what waits, in order unless it overtakes, each when it is due. One timer for all. */
class Line {
  #queue: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #overtakes: boolean;

  constructor(overtakes: boolean) {
    this.#overtakes = overtakes;
  }

  put(item: Waiting): void {
    this.#queue.push(item);
    if (this.#timer === undefined) this.#arm();
  }

  #arm(): void {
    const first = this.#queue[0];
    if (first === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        const now = performance.now();
        let due = 0;
        while ((this.#queue[due]?.due ?? Infinity) <= now) due += 1;
        const items = this.#queue.splice(0, due);
        for (const item of this.#overtakes ? items.toReversed() : items) item.send();
        this.#arm();
      },
      Math.max(0, first.due - performance.now()),
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
  }
}

/** A network in between: a UDP relay on loopback that delays, loses, cuts off and counts. */
export class Relay implements AsyncDisposable {
  readonly datagrams: Record<Direction, number> = { up: 0, down: 0 };
  readonly bytes: Record<Direction, number> = { up: 0, down: 0 };
  readonly lost: Record<Direction, number> = { up: 0, down: 0 };
  /** When true nothing gets through in either direction. */
  cut = false;
  /** Datagrams of more bytes do not get through; may be changed while running, as when a path gets another MTU. */
  most = Number.POSITIVE_INFINITY;
  /** The server's port; may be changed while running, as when a server comes back elsewhere. */
  to: number;
  readonly delayMs: number;
  #timeline: Array<{ readonly at: number; readonly direction: Direction }> | undefined;
  readonly #loss: number;
  readonly #draw: () => number;
  readonly #listening: Socket;
  readonly #upstream = new Map<string, Socket>();
  readonly #lines: Record<Direction, Line>;
  readonly #waiters: Array<{ readonly bytes: number; readonly direction: Direction; readonly done: () => void }> = [];
  #closed = false;

  private constructor(listening: Socket, options: RelayOptions) {
    this.#listening = listening;
    this.to = options.to;
    this.delayMs = options.delayMs ?? 0;
    this.#loss = options.loss ?? 0;
    this.#draw = options.draw ?? Math.random;
    const overtakes = options.overtakes ?? false;
    this.#lines = { up: new Line(overtakes), down: new Line(false) };
    listening.on('message', (data, from) => {
      const key = `${from.address}:${from.port}`;
      let socket = this.#upstream.get(key);
      if (socket === undefined) {
        const made = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
        made.on('message', (back) => {
          this.#pass('down', back, () => this.#listening.send(back, from.port, from.address, () => undefined));
        });
        // A port that nobody listens on any more answers with an error: to the client that is silence.
        made.on('error', () => undefined);
        this.#upstream.set(key, made);
        socket = made;
      }
      const through = socket;
      this.#pass('up', data, () => through.send(data, this.to, '127.0.0.1', () => undefined));
    });
    listening.on('error', () => undefined);
  }

  static async start(options: RelayOptions): Promise<Relay> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new Relay(socket, options);
  }

  get port(): number {
    return this.#listening.address().port;
  }

  #pass(direction: Direction, data: Buffer, send: () => void): void {
    this.datagrams[direction] += 1;
    this.bytes[direction] += data.length;
    this.#timeline?.push({ at: performance.now(), direction });
    for (const waiter of this.#waiters.splice(0)) {
      if (waiter.direction === direction && this.bytes[direction] >= waiter.bytes) waiter.done();
      else this.#waiters.push(waiter);
    }
    if (this.cut || data.length > this.most || (this.#loss > 0 && this.#draw() < this.#loss)) {
      this.lost[direction] += 1;
      return;
    }
    const unlessClosed = (): void => {
      if (!this.#closed) send();
    };
    if (this.delayMs === 0) unlessClosed();
    else this.#lines[direction].put({ due: performance.now() + this.delayMs, send: unlessClosed });
  }

  /** Resolves when so many more bytes have come from one side: how a test knows that a transfer is under way. */
  passed(direction: Direction, bytes: number): Promise<void> {
    return new Promise((done) => {
      this.#waiters.push({ direction, bytes: this.bytes[direction] + bytes, done });
    });
  }

  /** The URL of a path below a root of the server, by way of this relay. */
  url(...names: readonly string[]): string {
    return urlAt(`127.0.0.1:${this.port}`, ...names);
  }

  /** Gives each client another port towards the server, as a router does that forgets. */
  rebind(): void {
    for (const socket of this.#upstream.values()) socket.close();
    this.#upstream.clear();
  }

  /** Begins to note when each datagram came in. */
  watch(): void {
    this.#timeline = [];
  }

  /** The fewest round trips of some runs, until they are few enough: a pause of the machine only adds to them. */
  async fewestRoundTrips(run: () => PromiseLike<unknown>, runs = 5, enough = 0): Promise<number> {
    let fewest = Infinity;
    for (let at = 0; at < runs && fewest > enough; at += 1) {
      this.watch();
      await run();
      fewest = Math.min(fewest, this.roundTrips());
    }
    return fewest;
  }

  /**
   * How many round trips followed on one another since `watch`, at most: a datagram opens a new half of a round trip
   * only if the last half had time to arrive at its sender, for only then can it be an answer. Acknowledgements of the
   * last datagrams count as well, so this errs upwards.
   */
  roundTrips(): number {
    const timeline = this.#timeline ?? [];
    let halves = 0;
    let awaited: Direction = 'up';
    let since = -Infinity;
    for (const { at, direction } of timeline) {
      if (direction !== awaited || at < since + this.delayMs) continue;
      halves += 1;
      since = at;
      awaited = awaited === 'up' ? 'down' : 'up';
    }
    return halves / 2;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#lines.up.stop();
    this.#lines.down.stop();
    for (const socket of this.#upstream.values()) socket.close();
    this.#listening.close();
    await once(this.#listening, 'close');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** How long an empty datagram takes through a relay and back, the least of some tries, in ms. */
export async function ping(delayMs: number, tries = 5): Promise<number> {
  const echo = createSocket('udp4');
  echo.on('message', (data, from) => echo.send(data, from.port, from.address));
  echo.bind(0, '127.0.0.1');
  await once(echo, 'listening');
  const relay = await Relay.start({ to: echo.address().port, delayMs });
  const client = createSocket('udp4');
  client.bind(0, '127.0.0.1');
  await once(client, 'listening');
  let least = Infinity;
  try {
    for (let i = 0; i < tries; i += 1) {
      const start = performance.now();
      client.send('ping', relay.port, '127.0.0.1');
      await once(client, 'message');
      least = Math.min(least, performance.now() - start);
    }
  } finally {
    client.close();
    await relay.close();
    echo.close();
  }
  return least;
}
