// The options in the API: checks, defaults and types.
import { EVERY, PLANNED } from '../../options/calls.mjs';
import { named, requested, WRITTEN } from './declared.mjs';

/** Imports by module, without repetition; a name that begins with `type ` is one. */
export function imports(lists) {
  const byModule = new Map();
  for (const [module, list] of lists.flatMap((each) => Object.entries(each))) {
    byModule.set(module, new Set([...(byModule.get(module) ?? []), ...list]));
  }
  return [...byModule]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([module, set]) => {
      const all = [...set].toSorted((a, b) => (a < b ? -1 : 1));
      const isType = (name) => name.startsWith('type ');
      const values = all.filter((name) => !isType(name));
      const types = all.filter(isType).map((name) => name.slice('type '.length));
      const lines = [];
      if (values.length > 0) lines.push(`import { ${values.join(', ')} } from '${module}';`);
      if (types.length > 0) lines.push(`import type { ${types.join(', ')} } from '${module}';`);
      return lines;
    })
    .join('\n');
}

const quoted = (list) => list.map((each) => `'${each}'`).join(', ');

const apis = requested.map(({ name, kind }) => Object.assign({ name }, kind.api));

const fromModules = [...apis.map(({ from }) => from), { './check.js': ['type Check'], './record.js': ['recordOf'] }];

/** A module with the imports that it uses: a property of that name is no use. */
function module(more, text) {
  const isUsed = (name) => new RegExp(`(?<!\\w|\\w\\.)${name.replace(/^type /, '')}\\b(?!\\??:)`).test(text);
  const used = (list) => Object.fromEntries(Object.entries(list).map(([from, names]) => [from, names.filter(isUsed)]));
  return `// ${WRITTEN}
${imports([...fromModules, more].map(used))}

${text}`;
}

/** The module of what calls take: checks, and which calls do not take an option. */
export function checksModule() {
  const beyond = (calls) => named.filter((row) => row.calls < calls).map(({ name }) => name);
  return module(
    { './engine-options.js': ['SWITCHES'] },
    `/** The checks. */
export const TRANSFER_CHECKS: {
  ${apis.map(({ name, checked }) => `readonly ${name}: Check<${checked}>;`).join('\n')}
} = Object.assign(
  recordOf(SWITCHES, () => flag),
  {
    ${apis
      .filter(({ isSwitch }) => isSwitch !== true)
      .map(({ name, check }) => `${name}: ${check},`)
      .join('\n')}
  },
);

/** What only concerns writing, so that \`plan\` does not take it. */
export const NOT_IN_PLAN = [${quoted(beyond(PLANNED))}] as const;

/** What \`verify\` does not take. */
export const NOT_IN_VERIFY = [${quoted(beyond(EVERY))}] as const;
`,
  );
}

/** The defaults, and how they are added. */
function withDefaults() {
  const asked = apis.filter((api) => api.asked !== undefined);
  const made = apis.filter((api) => api.made !== undefined);
  return `/** The options of a call to which none is given. Those that each call asks the environment for have a value that is replaced. */
export const STANDARD: Readonly<EngineOptions> = {
  ${apis.map(({ name, type, standard }) => `${name}: ${standard ?? (type === 'boolean' ? 'false' : '0')},`).join('\n')}
};

/**
 * Adds the defaults. They are copied alone, and what was given is put on the copy: a literal with a copy and more in it takes four
 * times as long in a process that syncs now and then, and one that looks for each option twice.
 */
export function engineOptions<Options extends EngineOptions>(standard: Readonly<Options>, given: Given): Options {
  const options: Options = { ...standard };
  for (const [name, value] of Object.entries(given)) if (name in standard) Reflect.set(options, name, value);
  ${asked.map(({ name, asked: expression }) => `options.${name} = given.${name} ?? ${expression};`).join('\n')}
  ${made
    .map(
      ({ name, made: expression }) =>
        `if (given.${name} !== undefined) options.${name} = ${expression(`given.${name}`)};`,
    )
    .join('\n')}
  return options;
}`;
}

const orNull = (setting) => `${setting} ?? null`;

/** The module of what the engine takes: types and defaults. */
export function engineModule() {
  const switches = apis.filter(({ isSwitch }) => isSwitch === true);
  const handed = requested
    .filter(({ kind }) => kind.api.isSwitch !== true)
    .map(({ name, kind }) => {
      const expression = kind.binding.handed ?? (kind.api.standard === 'undefined' ? orNull : String);
      return expression(`options.${name}`);
    });
  return module(
    { './native.js': ['type NativeRequest'] },
    `/** What is on or off. */
export const SWITCHES = [${quoted(switches.map(({ name }) => name))}] as const;

/** How long the other end may say nothing, in milliseconds, unless it is given: questions outside of runs share it. */
export const TIMEOUT_MS = ${apis.find(({ name }) => name === 'timeoutMs').standard};

/** The options that the engine takes, as they were given. */
interface Given {
  ${apis.map(({ name, given, checked }) => `${name}?: ${given ?? checked};`).join('\n')}
}

/** The options that the engine takes, complete. */
export interface EngineOptions {
  ${apis.map(({ name, type }) => `${name}: ${type};`).join('\n')}
}

${withDefaults()}

/** What is not merely on or off, in the order of the binding. */
export function nativeOptions(options: EngineOptions): NativeRequest['options'] {
  return [${handed.join(', ')}];
}

/** The names of the switches that are on. */
export function switchedOn(options: EngineOptions): string[] {
  return SWITCHES.filter((name) => options[name]);
}
`,
  );
}
