// Many clients in a process of their own, which stand for other machines. Says "connected" when all are, begins at a
// line of standard input, and says "done" when each has pushed; standard input's end ends it.
import { createInterface } from 'node:readline';

import { connect } from '../../dist/index.js';

const { url, source, access, clients } = JSON.parse(process.argv[2]);
const connections = await Promise.all(Array.from({ length: clients }, () => connect(url, access)));
console.log('connected');
for await (const _ of createInterface({ input: process.stdin })) {
  const all = connections.map((connection, number) => connection.push(source, `root/crowd${number}`).result);
  console.log('pushing');
  await Promise.all(all);
  console.log('done');
}
await Promise.all(connections.map((connection) => connection.close()));
