import type { ItemEvent } from './events.js';
import type { Link } from './link.js';
import type { Ends } from './placement.js';
import { READ_ONLY } from './request.js';
import type { TransferSettings } from './settings.js';
import type { Watch } from './watch.js';

/** What a run has to do. */
export interface Task {
  readonly link: Link;
  readonly ends: Ends;
  readonly settings: TransferSettings;
  /** The listeners of the run; a part of another run has none. */
  readonly watch?: Watch;
  /** Prepares to save or apply a plan. `onStop` takes a function that ends this early. */
  readonly planning?: (onStop: (stop: () => void) => void) => Promise<Planning>;
}

/** What a run has of plans. */
export interface Planning {
  /** The stamps of the plan that is applied. */
  readonly planned?: readonly string[];
  /** Items have stamps, and this takes each of them. */
  readonly item?: (item: ItemEvent) => void;
  /** Called at the end. Unless all items were taken, no plan is saved. */
  readonly end?: (isWhole: boolean) => void;
}

/** The task of a run, with its plan saved or another one applied if the settings say so. */
export function taskOf(ends: Ends, link: Link, settings: TransferSettings, watch: Watch): Task {
  const { savePlan, applyPlan } = settings;
  if (savePlan !== undefined) {
    const task = { ends, link, settings: { ...settings, ...READ_ONLY } };
    return { ...task, watch, planning: async () => savedTo(savePlan, task) };
  }
  if (applyPlan === undefined) return { ends, link, settings, watch };
  const task = { ends, link, settings };
  return {
    ...task,
    watch,
    planning: async (onStop) => (await import('./applying.js')).applied(applyPlan, task, onStop),
  };
}

async function savedTo(file: string, task: Task): Promise<Planning> {
  const [plan, { namedFiles }] = await Promise.all([import('./plan-file.js'), import('./named-files.js')]);
  return plan.savedTo(file, task, await namedFiles());
}
