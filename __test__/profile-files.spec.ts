// Whatever a file of profiles holds: what is valid is shown, whole and contained; what is not is refused with its line.
import test from 'ava';
import * as fc from 'fast-check';

import { FIGURE_NAMES } from '../ts/cli/profile/figures.js';
import { parseRecord } from '../ts/cli/profile/file.js';
import { PHASE_NAMES } from '../ts/cli/profile/phases.js';
import { ConfigError } from '../ts/errors.js';
import { assertContained, show } from './helpers/profile-page.js';
import { seed } from './helpers/random.js';

const amount = fc.oneof(
  fc.constantFrom(0, 1, 100),
  fc.double({ min: 0, max: 1e6, noNaN: true }),
  fc.double({ min: 0, max: Number.MAX_SAFE_INTEGER, noNaN: true }),
);
const name = fc.oneof(
  fc.constantFrom(...PHASE_NAMES),
  fc.constantFrom('__proto__', 'toString', '</script>', '"', "'", '&amp;', '-->', '\u2028', 'wait_', 'other'),
  fc.string({ minLength: 1, maxLength: 64, unit: 'binary' }).filter((text) => text.length <= 64),
);
const figures = fc
  .tuple(
    fc.array(amount, { minLength: FIGURE_NAMES.length, maxLength: FIGURE_NAMES.length }),
    fc.dictionary(name, amount, { maxKeys: 3 }),
  )
  .map(([known, unknown]) =>
    Object.assign(unknown, Object.fromEntries(FIGURE_NAMES.map((each, index) => [each, known[index]]))),
  );
const threads = fc.array(
  fc.record({
    name,
    startMs: amount,
    wallMs: amount,
    cpuMs: amount,
    phases: fc.dictionary(name, fc.record({ ms: amount, count: amount }), { maxKeys: 6 }),
    stepMs: fc.oneof(fc.double({ min: 1e-9, max: 1e3, noNaN: true }), fc.constantFrom(1e-9, Number.MAX_SAFE_INTEGER)),
    timeline: fc.dictionary(name, fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { maxLength: 40 }), {
      maxKeys: 6,
    }),
  }),
  { maxLength: 5 },
);
const moments = fc
  .date({ min: new Date(0), max: new Date('2999-01-01'), noInvalidDate: true })
  .map((date) => date.toISOString());
const ends = fc
  .tuple(
    fc.array(fc.record({ end: fc.constantFrom('client', 'server'), startedAtMs: amount, figures, threads }), {
      minLength: 1,
      maxLength: 2,
    }),
    fc.boolean(),
  )
  .map(([list, turned]) =>
    list.map((end, index) => ({ role: (index === 0) === turned ? 'sender' : 'receiver', ...end })),
  );
const profiles = fc.record({
  type: fc.constant('profile'),
  schema: fc.constant(1),
  at: moments,
  direction: fc.constantFrom('push', 'pull', 'local'),
  ends,
  split: fc.record({ senderMs: amount, networkMs: amount, receiverMs: amount }),
});
const summaries = fc.record({
  type: fc.constant('summary'),
  schema: fc.constant(1),
  at: moments,
  final: fc.boolean(),
  uptimeMs: amount,
  sessions: amount,
  sessionsFailed: amount,
  connections: amount,
  figures,
});
const valid = fc.oneof({ arbitrary: profiles, weight: 3 }, { arbitrary: summaries, weight: 1 });

test('any valid profile is shown, whole and contained', (t) => {
  fc.assert(
    fc.property(fc.array(valid, { minLength: 1, maxLength: 4 }), (lines) => {
      const { markup, text } = show(lines.map((line) => JSON.stringify(line)));
      assertContained(t, markup);
      for (const shown of [markup, text]) {
        if (/\b(NaN|undefined|Infinity)\b/.test(shown.replace(/<script>.*?<\/script>/s, '')))
          throw new Error(shown.slice(0, 3000));
      }
      // oxlint-disable-next-line no-control-regex
      if (/[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E]/.test(markup + text)) throw new Error('unsafe');
    }),
    { seed: Number(seed), numRuns: 60 },
  );
});

/** Every value in a value, as a list of ways to it. */
function waysOf(value: unknown, way: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [way];
  const inner = Object.entries(value).flatMap(([key, each]) =>
    waysOf(each, [...way, Array.isArray(value) ? Number(key) : key]),
  );
  return [way, ...inner];
}

/** A copy with another value, or without one, at the end of a way. */
function changed(value: unknown, way: readonly (string | number)[], other: unknown): unknown {
  const [first, ...rest] = way;
  if (first === undefined) return other;
  if (Array.isArray(value)) return value.map((each, index) => (index === first ? changed(each, rest, other) : each));
  const entries = Object.entries(value as object);
  return Object.fromEntries(entries.map(([key, each]) => [key, key === first ? changed(each, rest, other) : each]));
}

test('any broken profile is refused with its line, and never by a crash', (t) => {
  // What stands nowhere in a profile.
  const nowhere = fc.constantFrom(null, -1, [[]], { a: {} }, 'x'.repeat(70), undefined);
  fc.assert(
    fc.property(valid, fc.nat(), nowhere, (line, choice, other) => {
      const ways = waysOf(JSON.parse(JSON.stringify(line)));
      const way = ways[choice % ways.length] ?? [];
      const text = JSON.stringify(changed(line, way, other)) ?? '';
      // Fields by names that a file chooses may be absent; a list may be; so may an entry of a list be no more there.
      const optional = other === undefined && /^(figures|phases|timeline)$/.test(String(way.at(-2)));
      try {
        parseRecord({ number: 7, text, ended: true }, 'FILE');
      } catch (error) {
        return error instanceof ConfigError && error.message.startsWith('FILE:7: not a profile: ');
      }
      return optional;
    }),
    { seed: Number(seed), numRuns: 400 },
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary' })), (text) => {
      try {
        parseRecord({ number: 1, text, ended: false }, 'FILE');
        return false;
      } catch (error) {
        return error instanceof ConfigError && error.message.startsWith('FILE:1: not a profile: ');
      }
    }),
    { seed: Number(seed), numRuns: 400 },
  );
  t.pass();
});
