import { readFileSync } from 'node:fs';

/**
 * The words after the program. Node decodes them as UTF-8 and replaces other bytes; if it did, the kernel's own copy
 * gives the bytes.
 */
export function commandLine(): readonly (string | Uint8Array)[] {
  const words = process.argv.slice(2);
  if (process.platform !== 'linux' || !words.some((word) => word.includes('\u{fffd}'))) return words;
  const raw = rawWords().slice(-words.length);
  return words.map((word, index) => {
    const bytes = raw[index];
    // The kernel's copy is used only if it has the same text, so that it is about the same word.
    return word.includes('\u{fffd}') && bytes?.toString('utf8') === word ? bytes : word;
  });
}

function rawWords(): Buffer[] {
  const all = readFileSync('/proc/self/cmdline');
  const words: Buffer[] = [];
  for (let start = 0; start < all.length;) {
    const end = all.indexOf(0, start);
    const stop = end === -1 ? all.length : end;
    words.push(all.subarray(start, stop));
    start = stop + 1;
  }
  return words;
}
