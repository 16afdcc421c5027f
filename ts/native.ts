import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import type * as Binding from '../index.js';
import { builtin } from './builtin.js';
import { PlatformError } from './errors.js';
import { addCommand } from './package-manager.js';

export type {
  NativeAuthorizedKey,
  NativeClient,
  NativeConnectOptions,
  NativeBesideOptions,
  NativeDial,
  NativeExplanation,
  NativeEvent,
  NativeIdentity,
  NativeJob,
  NativeListEntry,
  NativeLogFormat,
  NativeProfileEnd,
  NativeProfileThread,
  NativeRequest,
  NativeResult,
  NativeServer,
  NativeServerEvent,
  NativeServerKey,
  NativeNextKey,
  NativeRoute,
  NativeServerOptions,
  NativeSetting,
  NativeSnapshot,
  NativeStat,
  NativeTrust,
} from '../index.js';

/** The native core, as its generated declarations describe it. */
export type Native = typeof Binding;

let loaded: Native | undefined;

/** The folder of this package, if it is known for certain. */
let packageFolder: string | undefined;

/**
 * Sets the folder of this package. Only a program of the package may call this, since library code may have been moved
 * into another program's bundle. The binary is then loaded without the generated loader, which takes longer than the
 * binary itself.
 */
export function installedIn(folder: string): void {
  packageFolder = folder;
}

/**
 * Loads the native core on first use, so that importing this package works on every platform and costs nothing.
 *
 * @throws {@link PlatformError} when there is no binary for this platform or it cannot be loaded.
 */
export async function loadNative(): Promise<Native> {
  loaded ??= loadInstalled();
  if (loaded !== undefined) return loaded;
  const problems: unknown[] = [];
  try {
    // A specifier that bundlers can see. A path that `require` gets at run time would be resolved beside the bundle,
    // and might run another program's file.
    loaded = await import('../index.js');
    return loaded;
  } catch (error) {
    problems.push(error);
  }
  loaded = (await loadBundled(problems)) ?? loadBesideBundle(problems);
  if (loaded === undefined) throw platformError(problems);
  return loaded;
}

/** Variables with which the generated loader loads another binary than the installed one. */
const LOADER_VARIABLES = [
  'NAPI_RS_NATIVE_LIBRARY_PATH',
  'NAPI_RS_FORCE_WASI',
  'NAPI_RS_WASI_FLAVOR',
  'NAPI_RS_ENFORCE_VERSION_CHECK',
];

/**
 * Loads the binary from where an installation puts it. All other cases, and errors, are left to the generated loader.
 */
function loadInstalled(): Native | undefined {
  if (packageFolder === undefined || LOADER_VARIABLES.some((name) => process.env[name] !== undefined)) return undefined;
  const system = `${process.platform}-${process.arch}-`;
  const found = PUBLISHED_TARGETS.filter((target) => target.startsWith(system)).flatMap(
    (target) => installedBinary(packageFolder ?? '', target) ?? [],
  );
  const [file, ...others] = found;
  // With binaries for both C libraries, the generated loader must find out which one the system has.
  if (file === undefined || others.length > 0) return undefined;
  const module: { exports: unknown } = { exports: {} };
  try {
    // This is how `require` loads such a file, once it has found it.
    process.dlopen(module, file);
    return module.exports as Native;
  } catch {
    return undefined;
  }
}

/** The file that the generated loader would find for a target; the order of the search is the same. */
function installedBinary(folder: string, target: string): string | undefined {
  const name = `sparsync.${target}.node`;
  return placesFor(folder, target)
    .map((place) => join(place, name))
    .find((file) => existsSync(file));
}

function placesFor(folder: string, target: string): string[] {
  const parent = dirname(folder);
  return [
    folder,
    join(folder, 'node_modules', `sparsync-native-${target}`),
    ...(basename(parent) === 'node_modules' ? [join(parent, `sparsync-native-${target}`)] : []),
  ];
}

/**
 * The folders in which the package of a target may be installed; none if this code is in a bundle without the package.
 */
export function packageFolders(target: string): string[] {
  try {
    const folder = packageFolder ?? dirname(requireFromHere().resolve('sparsync-native/package.json'));
    return placesFor(folder, target);
  } catch {
    return [];
  }
}

/** The binary that a bundler has put beside the bundle, or has loaded with a loader of its own. */
async function loadBundled(problems: unknown[]): Promise<Native | undefined> {
  const { bundled } = await import('./bundlers.js');
  const binary = (await bundled(platformTarget()))?.default;
  if (typeof binary !== 'string') return binary as Native | undefined;
  try {
    const binding: Native = requireFromHere()(binary);
    return binding;
  } catch (error) {
    problems.push(error);
    return undefined;
  }
}

/** A `require` that starts at the running file, which may be a bundle. */
function requireFromHere(): NodeJS.Require {
  return builtin('node:module').createRequire(here());
}

/** The file that runs, as a URL or a path. */
function here(): string {
  // A bundle in CommonJS form has no `import.meta.url`, hence the type.
  const url: string | undefined = import.meta.url;
  return url ?? __filename;
}

/**
 * Loads the binary beside a bundle. The generated loader needs `import.meta.url`, which a bundle in CommonJS form
 * lacks.
 */
function loadBesideBundle(problems: unknown[]): Native | undefined {
  const requireHere = requireFromHere();
  const override = process.env['NAPI_RS_NATIVE_LIBRARY_PATH'];
  const target = platformTarget();
  const places =
    override !== undefined && override !== '' ? [override] : [`./sparsync.${target}.node`, `sparsync-native-${target}`];
  for (const place of places) {
    try {
      const binding: Native = requireHere(place);
      return binding;
    } catch (error) {
      problems.push(error);
    }
  }
  return undefined;
}

/** The name that the platform packages have for this platform, e.g. `linux-x64-gnu`. */
export function platformTarget(): string {
  const base = `${process.platform}-${process.arch}`;
  if (process.platform === 'linux') return `${base}-${isMusl() ? 'musl' : 'gnu'}`;
  return process.platform === 'win32' ? `${base}-msvc` : base;
}

function isMusl(): boolean {
  try {
    return readFileSync('/usr/bin/ldd', 'latin1').includes('musl');
  } catch {
    const header = (process.report.getReport() as { header?: { glibcVersionRuntime?: string } }).header;
    return header?.glibcVersionRuntime === undefined;
  }
}

/** The targets for which there is a package with the binary; a test compares them with the manifest. */
export const PUBLISHED_TARGETS: readonly string[] = [
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
];

/** The errors of places without a binary. Any other error is about a binary that exists and is broken. */
const ABSENT = /Cannot find (module|package|native binding)|must be .*string/i;

function platformError(problems: readonly unknown[]): PlatformError {
  const target = platformTarget();
  const name = `sparsync-native-${target}`;
  const override = process.env['NAPI_RS_NATIVE_LIBRARY_PATH'];
  const { what, fix } = explain(target, name, override, problems.flatMap(chainOf));
  return new PlatformError(`${what}; ${fix}`, {
    code: 'ERR_SPARSYNC_PLATFORM',
    details: { package: name, target, fix },
    cause: problems[0],
  });
}

function explain(
  target: string,
  name: string,
  override: string | undefined,
  reasons: readonly string[],
): { what: string; fix: string } {
  const broken = reasons.find((reason) => !ABSENT.test(reason));
  if (override !== undefined && override !== '') {
    const why = broken ?? 'there is no such file';
    return {
      what: `the native binary that NAPI_RS_NATIVE_LIBRARY_PATH names (${override}, instead of package ${name}) could not be loaded: ${why}`,
      fix: 'correct the variable or unset it',
    };
  }
  if (broken !== undefined) {
    return {
      what: `the native binary for this platform (package ${name}) could not be loaded: ${broken}`,
      fix: `reinstall it with "${addCommand(here(), name)}" on the system that will run it`,
    };
  }
  if (!PUBLISHED_TARGETS.includes(target)) {
    return {
      what: `there is no native binary for this platform (package ${name}); there are binaries for ${PUBLISHED_TARGETS.join(', ')}`,
      fix: 'build one from source with "npm run build" and set NAPI_RS_NATIVE_LIBRARY_PATH to its path',
    };
  }
  return {
    what: `the native binary for this platform (package ${name}) is not installed`,
    fix: `run "${addCommand(here(), name)}" on the platform that runs it, or install again without omitting optional packages`,
  };
}

/** The messages of an error and its causes: the generated loader chains one per place where it looked. */
function chainOf(error: unknown): string[] {
  const messages: string[] = [];
  for (let current = error, depth = 0; current instanceof Error && depth < 16; current = current.cause, depth += 1) {
    messages.push(current.message);
  }
  return messages;
}
