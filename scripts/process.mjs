// Child processes as the scripts here use them: no shell, output captured or passed on, a failure is an exception.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The repository's top folder, without a slash at the end. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

/**
 * Runs a program to its end and returns its output and exit code; does not throw on a failing exit code.
 * `echo` passes the output on as it comes; a program that runs longer than `timeoutMs` is killed.
 */
export function run(program, args, { cwd = ROOT, env = {}, echo = false, input = '', timeoutMs } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => child.kill('SIGINT'), timeoutMs);
    const all = [];
    const out = [];
    child.stdout.on('data', (chunk) => {
      all.push(chunk);
      out.push(chunk);
      if (echo) process.stdout.write(chunk);
    });
    child.stderr.on('data', (chunk) => {
      all.push(chunk);
      if (echo) process.stderr.write(chunk);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const text = (chunks) => Buffer.concat(chunks).toString('utf8');
      resolve({ code: code ?? 1, signal, stdout: text(out), output: text(all) });
    });
    child.stdin.on('error', () => {}); // a child that never reads its input is no failure of ours
    child.stdin.end(input);
  });
}

/** As `run`, but a failing exit code throws an error that holds the whole output. */
export async function mustRun(program, args, options = {}) {
  const result = await run(program, args, options);
  if (result.code !== 0) {
    const how = result.signal ? `was ended by ${result.signal}` : `exited ${result.code}`;
    throw new Error(`${[program, ...args].join(' ')} ${how}\n${options.echo ? '' : result.output}`);
  }
  return result;
}

/** The start script of a tool among the devDependencies. */
export function tool(name) {
  return `${ROOT}/node_modules/.bin/${name}`;
}

/** Whether a program of that name is on the PATH. */
export async function has(program) {
  const found = await run('/bin/sh', ['-c', 'command -v "$0"', program]);
  return found.code === 0;
}
