// Run in a folder where the packed package is installed: by import and by require it is one copy, and it works.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as imported from 'sparsync-native';

const required = createRequire(import.meta.url)('sparsync-native');
assert.equal(required.SparsyncError, imported.SparsyncError);
assert.equal(required.sync, imported.sync);

const work = mkdtempSync(join(process.cwd(), 'work-'));
process.env.SPARSYNC_CONFIG_DIR = join(work, 'config');
process.env.SPARSYNC_STATE_DIR = join(work, 'state');
mkdirSync(join(work, 'source', 'sub'), { recursive: true });
writeFileSync(join(work, 'source', 'sub', 'file'), 'content');
for (const name of ['one', 'two']) mkdirSync(join(work, name));

await imported.sync(join(work, 'source'), join(work, 'one'));
assert.equal(readFileSync(join(work, 'one', 'sub', 'file'), 'utf8'), 'content');

const server = await required.serve({ roots: { two: join(work, 'two') }, anonymous: true });
const result = await imported.sync(join(work, 'source'), server.url('two'), { trust: { pin: server.publicKey } });
assert.equal(result.stats.filesTransferred, 1);
assert.equal(readFileSync(join(work, 'two', 'sub', 'file'), 'utf8'), 'content');
await server.close();

// An error that one copy throws is an instance of the other's class.
await assert.rejects(async () => required.sync(join(work, 'missing'), join(work, 'three')), imported.NotFoundError);
console.log(`works on ${process.version}`);
