import { conclude } from './conclude.js';
import { dispatch } from './dispatch.js';
import { EXIT } from './exit-codes.js';
import { endOutput, leave, print } from './output.js';

export { ran } from './sync.js';

const first = process.argv[2];
if (first === '--version' || first === '-V' || first === '-VV') {
  // Scripts ask for the version first, so it is answered without loading anything else.
  void sayVersion();
} else if (first === '--stdio') {
  void conclude(async () => (await import('./stdio.js')).stdioCommand(process.argv.slice(2)));
} else {
  void dispatch();
}

async function sayVersion(): Promise<void> {
  const { versionJson, versionText } = await import('./version.js');
  const isJson = first === '-VV' || ['--version', '-V', '-VV'].includes(process.argv[3] ?? '');
  await print(isJson ? versionJson() : versionText());
  await endOutput();
  leave(EXIT.ok);
}
