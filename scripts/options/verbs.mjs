// The flags of each verb of the command, as its documents show them.
import { fromSources } from '../sources.mjs';

/** Flags of every verb, which are told once. */
const EVERYWHERE = ['config', 'help', 'json'];

/**
 * The verbs: `own` are flags that no sync has, or of which another thing is to be said; `shared` the names of those that are a sync's;
 * `others` the groups of flags that it has all of: those on connection and trust, or another verb's.
 */
export async function verbFlags() {
  const { COMPLETED, FLAG_HELP, flagHelp } = await fromSources(
    'ts/cli/completion-verbs.ts',
    'ts/cli/flag-help.ts',
    'ts/cli/help.ts',
  );
  const title = 'Connection and trust';
  const groups = [
    [`those under "${title}"`, Object.keys(FLAG_HELP).filter((name) => FLAG_HELP[name].category === title)],
    ['those of serve', COMPLETED.serve.flags.map(({ name }) => name)],
  ];
  return Object.entries(COMPLETED)
    .filter(([verb]) => verb !== 'sync')
    .map(([verb, { flags }]) => {
      const has = ([, names]) => verb !== 'serve' && names.every((name) => flags.some((flag) => flag.name === name));
      const others = groups.filter(has);
      const elsewhere = [...EVERYWHERE, ...others.flatMap(([, names]) => names)];
      const told = flags
        .map((flag) => ({ ...flag, help: flagHelp(flag).help }))
        .filter(({ name }) => !elsewhere.includes(name));
      const isShared = ({ name, help }) => FLAG_HELP[name]?.help === help;
      return {
        verb,
        others: others.map(([words]) => words),
        own: told.filter((flag) => !isShared(flag)),
        shared: told.filter(isShared).map(({ name }) => name),
      };
    });
}
