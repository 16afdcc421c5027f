import { readFileSync } from 'node:fs';

/** The version of this package, from its own manifest, so that it is written in one place only. */
export function packageVersion(): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  return manifest.version;
}
