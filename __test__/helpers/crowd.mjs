// Many clients in a process of their own, which stand for other machines. Says "connected" when all are. Each line of
// standard input names a wave in which each pushes, "done" says when; the end of standard input ends it.
import { createInterface } from 'node:readline';

import { connect } from '../../dist/index.js';

const { url, source, access, clients } = JSON.parse(process.argv[2]);
const connections = await Promise.all(Array.from({ length: clients }, () => connect(url, access)));
console.log('connected');
for await (const wave of createInterface({ input: process.stdin })) {
  const retry = { attempts: 100, maxDelayMs: 500 };
  const all = connections.map(
    (connection, number) => connection.push(source, `root/crowd${number}-${wave}`, { retry }).result,
  );
  console.log(`pushing ${wave}`);
  await Promise.all(all);
  console.log(`done ${wave}`);
}
await Promise.all(connections.map((connection) => connection.close()));
