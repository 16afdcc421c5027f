/** The modules of Node that few programs need. */
interface Builtins {
  'node:child_process': typeof import('node:child_process');
  'node:crypto': typeof import('node:crypto');
  'node:diagnostics_channel': typeof import('node:diagnostics_channel');
  'node:module': typeof import('node:module');
  'node:os': typeof import('node:os');
}

/** The modules that were asked for: Node's own lookup is 3 % of the JavaScript of a run without changes. */
const loaded: Partial<Builtins> = {};

/**
 * A module of Node, loaded where it is needed. An `import` would cost time at every start, which is most of the time of
 * a run without changes.
 */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] {
  // Node 20.19 has the function, and the types of that version do not.
  const { getBuiltinModule } = process as unknown as { getBuiltinModule(name: Name): Builtins[Name] };
  return (loaded[name] ??= getBuiltinModule(name));
}
