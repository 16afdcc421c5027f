import { createReadStream } from 'node:fs';

import { ConfigError } from '../../errors.js';
import type { ProfileEnd, ProfileFigures, ProfilePhase, ProfileThread, SyncProfile } from '../../profile.js';
import { FIGURE_NAMES } from './figures.js';
import { LineTooLong, linesOf } from './lines.js';
import type { Line } from './lines.js';
import { fieldsOf, flagOf, listOf, Mismatch, momentOf, numberOf, recordOf, textOf, wordOf } from './shape.js';
import type { Fields } from './shape.js';

/** The version of a profile's form that this program knows. */
const SCHEMA: SyncProfile['schema'] = 1;

/** The most bytes of a line: a hundred times the profile of a machine with many processors. */
const LINE_BYTES_MAX = 8 << 20;
const THREADS_MAX = 256;
const PHASES_MAX = 256;
const STEPS_MAX = 1024;

/** Where a record stands. */
export interface Place {
  /** The file as the user named it. */
  readonly file: string;
  readonly line: number;
}

/** The profile of one sync. */
export interface SyncRecord extends Place {
  readonly type: 'profile';
  /** When it was written, ISO 8601. */
  readonly at: string;
  readonly profile: SyncProfile;
}

/** What a server had done when it wrote the line. */
export interface ServerRecord extends Place {
  readonly type: 'summary';
  /** When it was written, ISO 8601. */
  readonly at: string;
  /** Whether the server ended then. */
  readonly final: boolean;
  /** Since its start, in milliseconds. */
  readonly uptimeMs: number;
  readonly sessions: number;
  readonly sessionsFailed: number;
  readonly connections: number;
  /** Summed over all sessions since its start. */
  readonly figures: ProfileFigures;
}

/** A file as the user named it. */
export interface FileName {
  readonly path: string | Buffer;
  readonly shown: string;
}

/**
 * Reads the records of a profile file one by one. A line that is no profile gives a `ConfigError` with file and line.
 */
export async function* readRecords(file: FileName): AsyncGenerator<SyncRecord | ServerRecord> {
  let found = false;
  try {
    for await (const line of linesOf(createReadStream(file.path), LINE_BYTES_MAX)) {
      if (line.text.trim() === '') continue;
      found = true;
      yield parseRecord(line, file.shown);
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (error instanceof LineTooLong) throw refusal(file.shown, error.line, `it is ${error.message}`);
    // Node's message repeats the path after the comma.
    const reason = error instanceof Error ? error.message.replace(/, \w+( '.*)?$/s, '') : String(error);
    throw new ConfigError(`cannot read the profile: ${reason}`, { path: file.shown, cause: error });
  }
  if (!found) throw new ConfigError('the profile is empty: no sync wrote into it', { path: file.shown });
}

/** Reads one line of a profile file. */
export function parseRecord(line: Line, file: string): SyncRecord | ServerRecord {
  const place = { file, line: line.number };
  try {
    const fields = fieldsOf(parseJson(line), 'the line');
    const type = fields.get('type');
    if (type !== 'profile' && type !== 'summary') throw new Mismatch('type', '"profile" or "summary"', type);
    const schema = fields.get('schema');
    if (typeof schema === 'number' && Number.isSafeInteger(schema) && schema > SCHEMA) {
      throw new ConfigError(
        `${file}:${line.number}: this profile has the form ${schema}, and this version of sparsync knows ${SCHEMA}: read it with a newer version`,
        { details: { file, line: line.number, schema } },
      );
    }
    if (schema !== SCHEMA) throw new Mismatch('schema', String(SCHEMA), schema);
    return type === 'profile' ? syncRecord(fields, place) : serverRecord(fields, place);
  } catch (error) {
    if (error instanceof Mismatch) throw refusal(file, line.number, error.message);
    throw error;
  }
}

function parseJson(line: Line): unknown {
  try {
    return JSON.parse(line.text);
  } catch {
    throw new Mismatch('the line', line.ended ? 'JSON' : 'JSON, and ends in its middle', line.text);
  }
}

function refusal(file: string, line: number, reason: string): ConfigError {
  return new ConfigError(`${file}:${line}: not a profile: ${reason}`, { details: { file, line } });
}

function syncRecord(fields: Fields, place: Place): SyncRecord {
  const split = fieldsOf(fields.get('split'), 'split');
  const ends = listOf(fields.get('ends'), 'ends', 1, 2).map((end, index) => endOf(end, `ends[${index}]`));
  const [first, second] = ends;
  if (second !== undefined && second.role === first?.role) {
    throw new Mismatch('ends[1].role', 'the other role than that of ends[0]', second.role);
  }
  return {
    ...place,
    type: 'profile',
    at: momentOf(fields.get('at'), 'at'),
    profile: {
      schema: SCHEMA,
      direction: wordOf(fields.get('direction'), 'direction', ['push', 'pull', 'local']),
      ends,
      split: {
        senderMs: numberOf(split.get('senderMs'), 'split.senderMs'),
        networkMs: numberOf(split.get('networkMs'), 'split.networkMs'),
        receiverMs: numberOf(split.get('receiverMs'), 'split.receiverMs'),
      },
    },
  };
}

function serverRecord(fields: Fields, place: Place): ServerRecord {
  const number = (name: string): number => numberOf(fields.get(name), name);
  return {
    ...place,
    type: 'summary',
    at: momentOf(fields.get('at'), 'at'),
    final: flagOf(fields.get('final'), 'final'),
    uptimeMs: number('uptimeMs'),
    sessions: number('sessions'),
    sessionsFailed: number('sessionsFailed'),
    connections: number('connections'),
    figures: figuresOf(fields.get('figures'), 'figures'),
  };
}

function endOf(value: unknown, where: string): ProfileEnd {
  const fields = fieldsOf(value, where);
  return {
    role: wordOf(fields.get('role'), `${where}.role`, ['sender', 'receiver']),
    end: wordOf(fields.get('end'), `${where}.end`, ['client', 'server']),
    startedAtMs: numberOf(fields.get('startedAtMs'), `${where}.startedAtMs`),
    figures: figuresOf(fields.get('figures'), `${where}.figures`),
    threads: listOf(fields.get('threads'), `${where}.threads`, 0, THREADS_MAX).map((thread, index) =>
      threadOf(thread, `${where}.threads[${index}]`),
    ),
  };
}

/** All known figures must be present. Others may be, since a form of profiles may get more of them. */
function figuresOf(value: unknown, where: string): ProfileFigures {
  const fields = fieldsOf(value, where);
  for (const name of FIGURE_NAMES) numberOf(fields.get(name), `${where}.${name}`);
  const checked: Readonly<Record<string, number>> = recordOf(fields, (figure, name) => {
    textOf(name, `a name in ${where}`);
    return numberOf(figure, `${where}.${name}`);
  });
  // The first loop has seen every name of the type.
  return checked as unknown as ProfileFigures;
}

function threadOf(value: unknown, where: string): ProfileThread {
  const fields = fieldsOf(value, where);
  const number = (name: string): number => numberOf(fields.get(name), `${where}.${name}`);
  const named = <T>(name: string, check: (value: unknown, where: string) => T): Record<string, T> =>
    recordOf(fieldsOf(fields.get(name), `${where}.${name}`, PHASES_MAX), (each, phase) => {
      textOf(phase, `a name in ${where}.${name}`);
      return check(each, `${where}.${name}.${phase}`);
    });
  const timeline = named('timeline', sharesOf);
  const stepMs = number('stepMs');
  if (stepMs === 0 && Object.values(timeline).some((shares) => shares.length > 0)) {
    throw new Mismatch(`${where}.stepMs`, 'more than 0 where there is a timeline', 0);
  }
  return {
    name: textOf(fields.get('name'), `${where}.name`),
    startMs: number('startMs'),
    wallMs: number('wallMs'),
    cpuMs: number('cpuMs'),
    phases: named('phases', phaseOf),
    stepMs,
    timeline,
  };
}

function phaseOf(value: unknown, where: string): ProfilePhase {
  const fields = fieldsOf(value, where);
  return { ms: numberOf(fields.get('ms'), `${where}.ms`), count: numberOf(fields.get('count'), `${where}.count`) };
}

function sharesOf(value: unknown, where: string): number[] {
  return listOf(value, where, 0, STEPS_MAX).map((share, index) => numberOf(share, `${where}[${index}]`, 100));
}
