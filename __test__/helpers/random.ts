import { createCipheriv, createHash, randomInt } from 'node:crypto';

/**
 * The seed of this whole test run. `SPARSYNC_TEST_SEED` repeats a run; without it each run draws its own, and every
 * test that uses it prints it, so that what was seen once can be seen again.
 */
export const seed: string = process.env['SPARSYNC_TEST_SEED'] ?? String(randomInt(2 ** 31));

/** Numbers that depend on nothing but the seed and a name. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(name: string, from: string = seed) {
    const digest = createHash('sha256').update(`${from}\0${name}`).digest();
    this.#a = digest.readUInt32LE(0);
    this.#b = digest.readUInt32LE(4);
    this.#c = digest.readUInt32LE(8);
    this.#d = digest.readUInt32LE(12);
  }

  /** 32 random bits (sfc32: small, fast, and good enough to choose names and sizes). */
  bits(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** A whole number of 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor((this.bits() / 2 ** 32) * limit);
  }

  /** A whole number of `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  /** `size` bytes that no compression makes smaller. */
  bytes(size: number): Buffer {
    const key = Buffer.alloc(16);
    for (let at = 0; at < key.length; at += 4) key.writeUInt32LE(this.bits(), at);
    return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
  }
}
