// The quickstart's server: a process of its own, as in real life. Its parent gives it the roots and hears the address.
import { serve } from '../dist/index.js';

process.once('message', async ({ root, clientKey }) => {
  const server = await serve({
    listen: '127.0.0.1:0',
    roots: { quickstart: root },
    authorizedKeys: [`quickstart ${clientKey} root=quickstart`],
  });
  process.once('disconnect', () => void server.close());
  process.send({ url: server.url('quickstart'), publicKey: server.publicKey });
});
