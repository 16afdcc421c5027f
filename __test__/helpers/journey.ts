import type { ExecutionContext } from 'ava';

import { cli, exit, quietly } from './cli.js';
import { assertEqual } from './judge.js';
import type { Setup } from './setup.js';

/** Pushes a tree with `-a`, finds nothing to do in a second run and no difference, and pulls it to `back`, which is equal too. */
export async function thereAndBack(
  t: ExecutionContext,
  { work, served, url, client: user }: Setup,
  source: string,
): Promise<void> {
  await quietly(t, user, ['-a', `${source}/`, url('tree')]);
  assertEqual(t, source, `${served}/tree`);
  await quietly(t, user, ['-ai', `${source}/`, url('tree')]);
  t.is((await cli(t, user, ['verify', `${source}/`, url('tree')])).code, exit.ok);
  await quietly(t, user, ['-a', url('tree/'), `${work}/back`]);
  assertEqual(t, source, `${work}/back`);
}
