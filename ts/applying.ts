import { captureCallSite } from './callsite.js';
import { makeError, tellsAll } from './errors.js';
import type { EntryPath, ItemEvent } from './events.js';
import { readPlan } from './plan-file.js';
import type { Planning, Task } from './planning.js';
import { READ_ONLY } from './request.js';
import { Run } from './run.js';

/** Compares what a run would do now with a plan, before anything is written. */
export async function applied(file: string, task: Task, onStop: (stop: () => void) => void): Promise<Planning> {
  const entries = readPlan(file, task);
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
    // What fails in a dry run is told by the run itself.
    if (!tellsAll(error)) throw error;
  }
  moved ??= left.values().next().value;
  if (moved !== undefined) {
    const where = moved.path === '' ? 'the top of the tree' : JSON.stringify(moved.path);
    throw makeError(`${where} is no more what it was when the plan ${file} was made; nothing was written`, {
      code: 'ERR_SPARSYNC_PLAN_STALE',
      ...moved,
      details: { plan: file, wrote: false },
    });
  }
  // When an entry's turn comes the run knows it by this part of its stamp.
  return { planned: [...entries.keys()].map((stamp) => stamp.slice(0, 32)) };
}
