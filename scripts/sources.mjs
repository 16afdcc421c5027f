// Modules of ts/, as the sources have them: in dist/ they are parts of bundles.
import { ROOT } from './process.mjs';

/** What some modules export, taken together. */
export async function fromSources(...files) {
  // Not at the top: this module is loaded before the dependencies are installed.
  const { build } = await import('esbuild');
  const contents = files.map((file) => `export * from './${file}';`).join('\n');
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: ROOT, loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}
