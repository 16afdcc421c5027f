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
  /** Whom it is told; nobody is told of a part of another run. */
  readonly watch?: Watch;
  /** Makes ready to save a plan or to apply one; `onStop` takes what ends that early. */
  readonly planning?: (onStop: (stop: () => void) => void) => Promise<Planning>;
}

/** What a run has of plans. */
export interface Planning {
  /** The stamps of the plan that is applied. */
  readonly planned?: readonly string[];
  /** Items have stamps, and this takes each of them. */
  readonly item?: (item: ItemEvent) => void;
  /** All items were taken, or else there will be no plan. */
  readonly end?: (isWhole: boolean) => void;
}

/** The task of a run, whose settings may say that its plan is saved, or that one is applied. */
export function taskOf(ends: Ends, link: Link, settings: TransferSettings, watch: Watch): Task {
  const { savePlan, applyPlan } = settings;
  if (savePlan !== undefined) {
    const task = { ends, link, settings: { ...settings, ...READ_ONLY } };
    return { ...task, watch, planning: async () => (await import('./plan-file.js')).savedTo(savePlan, task) };
  }
  if (applyPlan === undefined) return { ends, link, settings, watch };
  const task = { ends, link, settings };
  return {
    ...task,
    watch,
    planning: async (onStop) => (await import('./applying.js')).applied(applyPlan, task, onStop),
  };
}
