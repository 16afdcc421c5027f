// Loaded into a process before its program (`NODE_OPTIONS=--import=…`): at exit it notes the most memory that the
// whole process ever had, Node and native code together, where the test reads it.
import { readFileSync, writeFileSync } from 'node:fs';

const file = process.env.SPARSYNC_TEST_PEAK_FILE;
if (file !== undefined) {
  process.on('exit', () => {
    const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
    writeFileSync(file, String(kib));
  });
}
