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
      .filter(({ switched }) => switched === undefined)
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

/** The module of what the engine takes: types and defaults. */
export function engineModule() {
  const standard = ({ name, switched, setting }) =>
    `${name}: ${switched === undefined ? setting(`given.${name}`) : `given.${name} ?? ${switched}`},`;
  const isOptional = ({ optional }) => optional === true;
  return module(
    {},
    `/** What is on or off. */
export const SWITCHES = [${quoted(apis.filter(({ switched }) => switched !== undefined).map(({ name }) => name))}] as const;

/** How long the other end may say nothing, in milliseconds, unless it is given: questions outside of runs share it. */
export const TIMEOUT_MS = ${apis.find(({ name }) => name === 'timeoutMs').standard};

/** The options that the engine takes, as they were given. */
interface Given {
  ${apis.map(({ name, given, checked }) => `${name}?: ${given ?? checked};`).join('\n')}
}

/** The options that the engine takes, complete. */
export interface EngineOptions {
  ${apis.map((api) => `${api.name}${isOptional(api) ? '?' : ''}: ${api.type};`).join('\n')}
}

/**
 * Adds the defaults. One literal makes an object that is built and read fast; one that a loop over the names fills takes
 * three times as long in a process that syncs now and then.
 */
// oxlint-disable-next-line max-lines-per-function -- it is the list of all options
export function engineOptions(given: Given): EngineOptions {
  const options: EngineOptions = {
    ${apis
      .filter((api) => !isOptional(api))
      .map(standard)
      .join('\n')}
  };
  ${apis
    .filter(isOptional)
    .map(({ name }) => `if (given.${name} !== undefined) options.${name} = given.${name};`)
    .join('\n')}
  return options;
}

/** The names of the switches that are on. */
export function switchedOn(options: EngineOptions): string[] {
  return SWITCHES.filter((name) => options[name]);
}
`,
  );
}
