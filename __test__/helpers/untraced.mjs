// A program without OpenTelemetry: syncs, and prints which of its modules are loaded.
import Module from 'node:module';

import { sync } from '../../dist/index.js';

const [source, destination, hasGlobal] = process.argv.slice(2);
// What a program of another version leaves, that cannot be found from here.
if (hasGlobal === 'global') globalThis[Symbol.for('opentelemetry.js.api.1')] = { version: '1.0.0' };
const { stats } = await sync(source, destination);
const loaded = Object.keys(Module._cache).filter((name) => name.includes('@opentelemetry'));
console.log(JSON.stringify({ files: stats.filesTransferred, loaded }));
