import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import type * as Binding from '../index.js';
import { PlatformError } from './errors.js';

export type {
  NativeClient,
  NativeConnectOptions,
  NativeEvent,
  NativeIdentity,
  NativeJob,
  NativeListEntry,
  NativeRequest,
  NativeResult,
  NativeServer,
  NativeServerOptions,
  NativeTrust,
} from '../index.js';

/** The native core, as its generated declarations describe it. */
export type Native = typeof Binding;

let loaded: Native | undefined;

/**
 * Loads the native core on first use, so that importing this package works on every platform and costs nothing.
 *
 * @throws {@link PlatformError} when there is no binary for this platform or it cannot be loaded.
 */
export async function loadNative(): Promise<Native> {
  if (loaded !== undefined) return loaded;
  const problems: unknown[] = [];
  try {
    // A specifier that bundlers can see: a path given to `require` at run time would, out of a bundle,
    // resolve beside the bundle and might run a stranger's file.
    loaded = await import('../index.js');
    return loaded;
  } catch (error) {
    problems.push(error);
  }
  loaded = loadFromBundle(problems);
  if (loaded === undefined) throw platformError(problems);
  return loaded;
}

/** A bundle in CommonJS form has no `import.meta.url`, which the generated loader starts from. */
function loadFromBundle(problems: unknown[]): Native | undefined {
  const start = typeof __filename === 'string' ? __filename : import.meta.url;
  const requireHere = createRequire(start);
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

function platformError(problems: readonly unknown[]): PlatformError {
  const target = platformTarget();
  const name = `sparsync-native-${target}`;
  const reasons = problems.flatMap(chainOf);
  // "Not found" is what every candidate says that is not installed; anything else is a binary that is there and broken.
  const broken = reasons.find(
    (reason) => !/Cannot find (module|package|native binding)|must be .*string/i.test(reason),
  );
  const override = process.env['NAPI_RS_NATIVE_LIBRARY_PATH'];
  const fix =
    override === undefined || override === ''
      ? `install it with "npm install --include=optional" (or "npm install ${name}"), on the platform that runs it`
      : 'correct or unset NAPI_RS_NATIVE_LIBRARY_PATH';
  const what =
    broken === undefined
      ? `the native binary for this platform (package ${name}) is not installed`
      : `the native binary for this platform (package ${name}) could not be loaded: ${broken}`;
  return new PlatformError(`${what}; ${fix}`, {
    code: 'ERR_SPARSYNC_PLATFORM',
    details: { package: name, target, fix },
    cause: problems[0],
  });
}

/** The messages of an error and its causes: the generated loader chains one per place where it looked. */
function chainOf(error: unknown): string[] {
  const messages: string[] = [];
  for (let current = error, depth = 0; current instanceof Error && depth < 16; current = current.cause, depth += 1) {
    messages.push(current.message);
  }
  return messages;
}
