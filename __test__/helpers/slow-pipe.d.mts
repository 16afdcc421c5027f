import type { Transform } from 'node:stream';

/** A path that takes so many bytes a second, and is not near. */
export declare function slowPath(bytesPerSecond: number): Transform;
