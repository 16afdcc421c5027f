// The quickstart's server: a process of its own, as in real life. Its parent gives it the roots and hears the address.
import { serve } from '../dist/index.js';

process.once('message', async ({ root, clientKey }) => {
  const server = await serve({
    roots: { quickstart: root },
    allow: [{ name: 'quickstart', key: clientKey, roots: ['quickstart'] }],
  });
  process.once('disconnect', () => void server.close());
  process.send({ url: server.url('quickstart'), publicKey: server.publicKey });
});
