import { captureCallSite } from './callsite.js';
import { makeError, tellsAll } from './errors.js';
import type { EntryPath, ItemEvent } from './events.js';
import { namedFiles } from './named-files.js';
import { readPlan } from './plan-file.js';
import type { Planning, Task } from './planning.js';
import { READ_ONLY } from './request.js';
import { Run } from './run.js';

/** Compares the actions of a run with those of a plan, before anything is written. */
export async function applied(file: string, task: Task, onStop: (stop: () => void) => void): Promise<Planning> {
  const entries = readPlan(file, task, await namedFiles());
  const left = new Map(entries);
  let moved: EntryPath | undefined;
  const item = ({ path, pathBytes, stamp }: ItemEvent): void => {
    if (stamp === undefined || left.delete(stamp)) return;
    moved ??= { path, ...(pathBytes === undefined ? {} : { pathBytes }) };
  };
  const look = new Run(
    () => ({ ...task, settings: { ...task.settings, ...READ_ONLY }, planning: () => Promise.resolve({ item }) }),
    captureCallSite(),
  );
  onStop(() => look.cancel());
  look.discard();
  try {
    await look.result;
  } catch (error) {
    // If the dry run finished in spite of an error, the run itself tells that error.
    if (!tellsAll(error)) throw error;
  }
  moved ??= left.values().next().value;
  if (moved !== undefined) {
    const where = moved.path === '' ? 'the top of the tree' : JSON.stringify(moved.path);
    throw makeError(`${where} has changed since the plan ${file} was made; nothing was written`, {
      code: 'ERR_SPARSYNC_PLAN_STALE',
      ...moved,
      details: { plan: file, wrote: false },
    });
  }
  // The run finds an entry by this part of its stamp when the entry's turn comes.
  return { planned: [...entries.keys()].map((stamp) => stamp.slice(0, 32)) };
}
