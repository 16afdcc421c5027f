import type { NativeRoute } from './native.js';

/** Which way to a host is taken. */
export interface Route {
  readonly family?: 4 | 6 | undefined;
  readonly localAddress?: string | undefined;
}

/** The same as native code takes it. */
export function nativeRoute({ family, localAddress }: Route): NativeRoute {
  return { family: family ?? 0, ...(localAddress === undefined ? {} : { localAddress }) };
}

/** The same in the words of `ssh`. */
export function sshRoute({ family, localAddress }: Route): string[] {
  return [...(family === undefined ? [] : [`-${family}`]), ...(localAddress === undefined ? [] : ['-b', localAddress])];
}
