import { fromNative } from '../../errors.js';
import type { SparsyncError } from '../../errors.js';
import type { ConnectOptions } from '../../options.js';
import { absolute, textOf } from '../../paths.js';
import { plan } from '../../plan.js';
import { connectionTo } from '../../connection.js';
import type { Location, RemoteTarget, Target } from '../../target.js';
import { hintFor } from '../hints.js';
import { well, wrong } from './finding.js';
import type { Finding } from './finding.js';
import { canBeWritten, spaceFinding } from './machine.js';

/** The folders of checks for which the user named none: the first exists everywhere, the second nowhere. */
const SOME_FOLDER = '/';
const NO_FOLDER = '/.sparsync-doctor';

/**
 * How often it is asked again where there is no room: a server that lets a key have one connection may not have noticed that the
 * last one has ended.
 */
const AGAIN = { attempts: 3, baseDelayMs: 100 };

/** Whether a sync would be refused, found by a plan that carries nothing: each end grants or refuses it like a sync. */
async function refusal(
  source: Location,
  destination: Location,
  options: ConnectOptions,
): Promise<SparsyncError | undefined> {
  try {
    await plan(source, destination, { ...options, into: true, filter: ['- *'], retry: AGAIN }).result;
    return undefined;
  } catch (error) {
    return fromNative(error);
  }
}

async function rootsOf(target: RemoteTarget, options: ConnectOptions): Promise<string[]> {
  const connection = connectionTo(target, options);
  try {
    return (await connection.list()).map(({ name }) => name);
  } finally {
    await connection.close();
  }
}

/** Finds what a key may do at a place on a server. A run needs only one direction, and it is not known which. */
export async function examineScope(
  location: Location,
  target: RemoteTarget,
  options: ConnectOptions,
): Promise<Finding> {
  const check = 'scope';
  if (target.root === '') {
    const roots = await rootsOf(target, options);
    if (roots.length > 0) return well(check, `this key sees the roots ${roots.join(' ')}`);
    return wrong('problem', check, 'this key sees no root', "the server's authorized_keys decides what a key may do");
  }
  const push = await refusal(SOME_FOLDER, location, options);
  const pull = await refusal(location, NO_FOLDER, options);
  if (push === undefined) {
    return well(
      check,
      pull === undefined ? 'a push and a pull would work' : `a push would work; no pull: ${pull.message}`,
    );
  }
  if (pull === undefined) return well(check, `a pull would work; no push: ${push.message}`);
  const why = push.message === pull.message ? push.message : `no push: ${push.message}; no pull: ${pull.message}`;
  return wrong(
    'problem',
    check,
    `${push.code}: ${why}`,
    hintFor(push) ?? 'is the path right? A sync makes the last folder of it, and all of them with --mkpath',
  );
}

/** Checks a sync before it runs: that both ends would start it, and that this machine has room. */
export async function* examineEnds(
  source: Location,
  destination: Location,
  target: Target,
  options: ConnectOptions,
): AsyncGenerator<Finding, undefined, undefined> {
  const refused = await refusal(source, destination, options);
  const check = 'sync';
  if (refused === undefined) yield well(check, 'both ends would start it');
  else
    yield wrong(
      'problem',
      check,
      `${refused.code}: ${refused.message}`,
      hintFor(refused) ?? 'is the path right, and is what should hold it mounted?',
    );
  if (target.kind === 'remote') return undefined;
  const folder = textOf(absolute(target.path));
  const fix = 'choose a folder of your own, or ask its owner for the right to write';
  yield canBeWritten(folder)
    ? spaceFinding('destination', 'problem', folder)
    : wrong('problem', 'destination', `${folder} cannot be written`, fix);
  return undefined;
}
