import { spawnSync } from 'node:child_process';

/** Builds a program of this workspace as `npm test` builds, so that nothing is compiled twice; says where it is. */
export function buildProgram(name: string): string {
  const host = /^host: (.+)$/m.exec(spawnSync('rustc', ['-vV'], { encoding: 'utf8' }).stdout)?.[1] ?? '';
  const words = ['build', '--quiet', '--message-format=json', '--target', host, '--workspace', '--bin', name];
  const built = spawnSync('cargo', words, { encoding: 'utf8', maxBuffer: 1 << 28 });
  const executable = /"executable":"([^"]+)"/g;
  const program = [...built.stdout.matchAll(executable)]
    .map(([, path = '']) => path)
    .find((p) => p.endsWith(`/${name}`));
  if (built.status !== 0 || program === undefined) throw new Error(`cargo ${words.join(' ')}: ${built.stderr}`);
  return program;
}
