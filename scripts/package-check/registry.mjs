// A registry on loopback that has our packages and no others, so that package managers install them as from the real one.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename } from 'node:path';

function documentOf({ manifest, tarball }, origin) {
  const bytes = readFileSync(tarball);
  const digest = (algorithm, encoding) => createHash(algorithm).update(bytes).digest(encoding);
  const dist = {
    tarball: `${origin}/-/${basename(tarball)}`,
    shasum: digest('sha1', 'hex'),
    integrity: `sha512-${digest('sha512', 'base64')}`,
  };
  const { name, version } = manifest;
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } }, time: {} };
}

/** Serves packages, each `{ manifest, tarball }`; gives the address, and how it is ended. */
export async function startRegistry(packages) {
  const server = createServer((request, response) => {
    const origin = `http://127.0.0.1:${server.address().port}`;
    const path = decodeURIComponent(new URL(request.url, origin).pathname);
    const asFile = packages.find(({ tarball }) => path === `/-/${basename(tarball)}`);
    const asked = packages.find(({ manifest }) => path === `/${manifest.name}`);
    if (asFile !== undefined) return response.end(readFileSync(asFile.tarball));
    response.setHeader('Content-Type', 'application/json');
    if (asked !== undefined) return response.end(JSON.stringify(documentOf(asked, origin)));
    response.statusCode = 404;
    return response.end('{}');
  });
  await new Promise((done) => void server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${server.address().port}/`, stop: () => server.close() };
}
