import type { NativeServer } from './native.js';
import { PROFILE_SCHEMA, profileLine } from './profile.js';
import type { ProfileRecord } from './profile.js';
import { toEnd, toFigures, toProfile } from './profile-convert.js';

/** Is told what a server's syncs took, each when it has ended, and all of them together now and then. */
export type ProfileListener = (record: ProfileRecord) => void;

/** The engine keeps the last 64 profiles, so with one look per second none is lost below 64 syncs per second. */
const LOOK_EVERY_MS = 1000;

/** A summary is emitted after this many looks, if anything was served meanwhile. */
const LOOKS_PER_SUMMARY = 10;

/** Tells a listener what the syncs of a server took. */
export class ServerProfiler {
  readonly #native: NativeServer;
  readonly #listener: ProfileListener;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #looks = 0;
  /** Syncs that no summary has told of. */
  #untold = 0;
  #dropped = 0;
  #final = false;

  constructor(native: NativeServer, listener: ProfileListener) {
    this.#native = native;
    this.#listener = listener;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Tells the rest and a final summary, once. */
  end(): void {
    if (this.#final) return;
    this.#final = true;
    clearInterval(this.#timer);
    this.#look();
  }

  #look(): void {
    const taken = this.#native.takeProfiles();
    if (taken === null) return;
    this.#dropped += taken.dropped;
    this.#untold += taken.ended.length;
    for (const { direction, end } of taken.ended) {
      const isPush = direction === 'push';
      const served = toEnd(end, isPush ? 'receiver' : 'sender', 'server');
      this.#listener(profileLine(toProfile(isPush ? 'push' : 'pull', [served])));
    }
    this.#looks += 1;
    if (!this.#final && (this.#untold === 0 || this.#looks < LOOKS_PER_SUMMARY)) return;
    this.#looks = 0;
    this.#untold = 0;
    const stats = this.#native.stats();
    this.#listener({
      type: 'summary',
      schema: PROFILE_SCHEMA,
      at: new Date().toISOString(),
      final: this.#final,
      uptimeMs: performance.now() - this.#startedAt,
      sessions: stats['sessions'] ?? 0,
      sessionsFailed: stats['sessions_failed'] ?? 0,
      connections: stats['connections'] ?? 0,
      profilesDropped: this.#dropped,
      figures: toFigures(taken.figures),
    });
  }
}
