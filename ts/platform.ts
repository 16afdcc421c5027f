/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Types that a program has from its platform's declarations (those of Node or of a browser). A program that is compiled
 * without them (`types: []`) can still use this package; it has no values of these types to give.
 */

/** A `URL`. */
export type PlatformURL = typeof globalThis extends { URL: { prototype: infer Instance } } ? Instance : never;

/** An `AbortSignal`. */
export type PlatformAbortSignal = typeof globalThis extends { AbortSignal: { prototype: infer Instance } }
  ? Instance
  : never;
