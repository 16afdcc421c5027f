// Run where no platform package is installed: importing works, and the first call says what is missing and the fix.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { PlatformError, serve, sync } from 'sparsync-native';

const required = createRequire(import.meta.url)('sparsync-native');
const [, , target, add = 'npm install'] = process.argv;

function saysWhatIsMissing(error) {
  assert.ok(error instanceof PlatformError);
  assert.ok(error instanceof required.SparsyncError);
  assert.equal(error.code, 'ERR_SPARSYNC_PLATFORM');
  assert.ok(error.message.includes(`sparsync-native-${target}`), error.message);
  assert.ok(error.message.includes(`"${add} sparsync-native-${target}"`), error.message);
  return true;
}

await assert.rejects(async () => sync('.', 'copy'), saysWhatIsMissing);
await assert.rejects(async () => serve({ roots: { here: '.' }, anonymous: true }), saysWhatIsMissing);
console.log('says what is missing');
