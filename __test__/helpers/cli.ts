import type { ExecutionContext } from 'ava';

import { type Ended, type Running, type RunOptions, start } from './process.js';
import { type Client, program } from './product.js';

/** Exit codes of the command, as documented. */
export const exit = {
  ok: 0,
  usage: 1,
  version: 2,
  destination: 3,
  connect: 10,
  io: 11,
  protocol: 12,
  aborted: 20,
  partial: 23,
  vanished: 24,
  maxDelete: 25,
  timeout: 30,
  connectTimeout: 35,
  deleteRefused: 40,
  busy: 41,
  hostKey: 43,
  unauthorized: 44,
  output: 46,
  limit: 47,
  hostKeyChanged: 48,
  planStale: 49,
} as const;

/** Starts the command as `client`. */
export function startCli(
  t: ExecutionContext,
  client: Client,
  args: readonly string[],
  options: RunOptions = {},
): Running {
  return start(t, process.execPath, [program, ...args], { ...options, env: { ...client.env, ...options.env } });
}

/** Runs the command as `client` to its end. */
export function cli(
  t: ExecutionContext,
  client: Client,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  return startCli(t, client, args, options).ended;
}

/** Runs the command, and asserts that it succeeded without a word. */
export async function quietly(
  t: ExecutionContext,
  client: Client,
  args: readonly string[],
  options: RunOptions = {},
): Promise<void> {
  const ended = await cli(t, client, args, options);
  t.deepEqual(
    { code: ended.code, signal: ended.signal, stdout: ended.stdout, stderr: ended.stderr },
    { code: 0, signal: null, stdout: '', stderr: '' },
    `sparsync ${args.join(' ')}`,
  );
}
