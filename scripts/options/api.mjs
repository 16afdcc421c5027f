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

const SWITCHED_ON = `/** What is on or off. */
const SWITCHES = [...OFF, ...ON];

/** The names of the switches that are on. */
export function switchedOn(options: EngineOptions): string[] {
  return SWITCHES.filter((name) => options[name]);
}
`;

/** The default that questions outside of runs share. */
const defaultTimeout = (apis) => `/** How long the other end may say nothing, in milliseconds, unless it is given. */
export const TIMEOUT_MS = ${apis.find(({ name }) => name === 'timeoutMs').standard};
`;

/** The module of the API. */
export function apiModule() {
  const apis = requested.map(({ name, kind }) => Object.assign({ name }, kind.api));
  const beyond = (calls) => named.filter((row) => row.calls < calls).map(({ name }) => name);
  const fixed = apis.filter(({ optional, switched }) => optional !== true && switched === undefined);
  const switches = (on) => quoted(apis.filter(({ switched }) => switched === on).map(({ name }) => name));
  const optional = apis.filter((api) => api.optional === true);
  return `// ${WRITTEN}
${imports([...apis.map(({ from }) => from), { './check.js': ['type Check'], './record.js': ['recordOf'] }])}

/** What is off unless it is given. */
const OFF = [${switches(false)}] as const;

/** What is on unless it is given. */
const ON = [${switches(true)}] as const;

${defaultTimeout(apis)}
/** The checks. */
export const TRANSFER_CHECKS: {
  ${apis.map(({ name, checked }) => `readonly ${name}: Check<${checked}>;`).join('\n')}
} = Object.assign(
  recordOf([...OFF, ...ON], () => flag),
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

/** The options that the engine takes, as they were given. */
interface Given {
  ${apis.map(({ name, given, checked }) => `${name}?: ${given ?? checked};`).join('\n')}
}

/** The options that the engine takes, complete. */
export interface EngineOptions {
  ${apis.map(({ name, type, optional }) => `${name}${optional === true ? '?' : ''}: ${type};`).join('\n')}
}

/** Adds the defaults. */
export function engineOptions(given: Given): EngineOptions {
  const options: EngineOptions = Object.assign(
    recordOf(OFF, (name) => given[name] ?? false),
    recordOf(ON, (name) => given[name] ?? true),
    {
      ${fixed.map(({ name, setting }) => `${name}: ${setting(`given.${name}`)},`).join('\n')}
    },
  );
  ${optional.map(({ name }) => `if (given.${name} !== undefined) options.${name} = given.${name};`).join('\n')}
  return options;
}

${SWITCHED_ON}`;
}
