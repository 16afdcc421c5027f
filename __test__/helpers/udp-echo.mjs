// `echo ADDRESS PORT` answers each datagram with its content. `send ADDRESS PORT COUNT BYTES GAP_MS` sends so many, each with its number and
// time, and prints what came back.
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';

const [what, address, port, count, bytes, gap] = process.argv.slice(2);
const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
if (what === 'echo') {
  socket.on('message', (data, from) => socket.send(data, from.port, from.address));
  socket.bind(Number(port), address, () => console.log('ready'));
} else {
  const now = () => Number(process.hrtime.bigint() / 1000n) / 1000;
  const seen = new Set();
  const result = { got: 0, duplicates: 0, overtaken: 0, leastMs: Infinity, spanMs: 0 };
  let highest = -1;
  let first = 0;
  socket.on('message', (data) => {
    const number = data.readUInt32BE(0);
    const at = now();
    first ||= at;
    result.spanMs = at - first;
    result.leastMs = Math.min(result.leastMs, at - data.readDoubleBE(4));
    if (seen.has(number)) result.duplicates += 1;
    else result.got += 1;
    if (number < highest && !seen.has(number)) result.overtaken += 1;
    highest = Math.max(highest, number);
    seen.add(number);
  });
  for (let number = 0; number < Number(count); number += 1) {
    const data = Buffer.alloc(Number(bytes));
    data.writeUInt32BE(number, 0);
    data.writeDoubleBE(now(), 4);
    socket.send(data, Number(port), address);
    if (Number(gap) > 0) await sleep(Number(gap));
    else if (number % 20 === 0) await sleep(0);
  }
  await sleep(1500);
  console.log(JSON.stringify(result));
  process.exit(0);
}
