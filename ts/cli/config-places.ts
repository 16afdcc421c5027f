import { closeSync, constants, existsSync, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';

import { configDirectory, wantedConfigFile } from '../config.js';
import { ConfigError, messageOf } from '../errors.js';
import { WRITABLE, isOwn } from '../own-file.js';
import { note } from './output.js';

/** The place of a file of settings: the working directory, the user's, the machine's, or the one that was named. */
export type Place = 'project' | 'user' | 'system' | 'given';

/** A file of settings. */
export interface ConfigFile {
  readonly place: Place;
  readonly path: string;
  readonly text: string;
}

/** What such a file is called wherever it stands. */
const CONFIG_NAME = 'sparsync.toml';

const SYSTEM_FOLDER = '/etc/sparsync';

/** The most bytes of a file of settings. */
const SIZE_MAX = 1 << 20;

/** What `--config` says for no file at all. */
const NONE = 'none';

let read: readonly string[] = [];

/** The files that had settings for this run, for messages. */
export function configFilesRead(): readonly string[] {
  return read;
}

/** The files of settings that exist, in the order in which they decide. A file that is named replaces all others. */
export function configFiles(named: string | undefined, wantsProject: boolean): ConfigFile[] {
  const given = named ?? wantedConfigFile();
  const files = given === NONE ? [] : given === undefined ? standing(wantsProject) : [open('given', given)];
  read = files.map(({ path }) => path);
  return files.map(({ place, path, descriptor }) => ({ place, path, text: textIn(path, descriptor) }));
}

interface Opened {
  readonly place: Place;
  readonly path: string;
  readonly descriptor: number;
  readonly stats: Stats;
}

function standing(wantsProject: boolean): Opened[] {
  const places: [Place, string][] = [['system', join(SYSTEM_FOLDER, CONFIG_NAME)]];
  const own = userFile();
  if (own !== undefined) places.unshift(['user', own]);
  // Checking first costs one call if there is no file, and makes no error object.
  const files = places.filter(([, path]) => existsSync(path)).map(([place, path]) => open(place, path));
  const project = wantsProject ? openProject(`./${CONFIG_NAME}`) : undefined;
  if (project === undefined) return files;
  // In the folder of one of these it is that one.
  const isOther = files.some(({ stats: { dev, ino } }) => dev === project.stats.dev && ino === project.stats.ino);
  if (!isOther) return [project, ...files];
  closeSync(project.descriptor);
  return files;
}

/** The user's file; `undefined` if no home folder is known. */
function userFile(): string | undefined {
  try {
    return join(configDirectory(), CONFIG_NAME);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/**
 * The file of the working directory. If others can write there, a file of theirs is ignored: it must neither be read
 * nor stop a run.
 */
function openProject(path: string): Opened | undefined {
  const seen = orNone(() => lstatSync(path, { throwIfNoEntry: false }));
  if (seen === undefined) return undefined;
  if (seen.isFile() && isOwn(seen)) {
    const descriptor = orNone(() => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW));
    if (descriptor !== undefined) {
      const stats = fstatSync(descriptor);
      // The file may have been replaced between the two calls.
      if (stats.isFile() && isOwn(stats)) return checked({ place: 'project', path, descriptor, stats });
      closeSync(descriptor);
    }
  }
  note(`${path} is not read: it is not a regular file, belongs to another user, or other users can write it`);
  return undefined;
}

/** The result of a call; `undefined` if it fails, as it does in a folder that this user may not enter. */
function orNone<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}

function open(place: Place, path: string): Opened {
  const descriptor = attempt(path, () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  return checked({ place, path, descriptor, stats: fstatSync(descriptor) });
}

function checked(file: Opened): Opened {
  const { place, path, descriptor, stats } = file;
  const refuse = (why: string): never => {
    closeSync(descriptor);
    throw new ConfigError(`${path} ${why}`, { path });
  };
  if (!stats.isFile()) return refuse('is not a settings file: it is not a regular file');
  if (stats.size > SIZE_MAX) return refuse(`is not a settings file: it has more than ${SIZE_MAX} bytes`);
  if (place === 'user' && !isOwn(stats)) {
    return refuse('belongs to another user, or other users can write it (then run chmod go-w on it)');
  }
  if (place === 'system' && (stats.mode & WRITABLE) !== 0)
    return refuse('can be written by other users: run chmod go-w on it');
  return file;
}

function textIn(path: string, descriptor: number): string {
  try {
    const bytes = attempt(path, () => readFileSync(descriptor));
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) throw new ConfigError(`${path} is not UTF-8 text`, { path, cause: error });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const message = messageOf(cause);
    throw new ConfigError(`cannot read the settings in ${path}: ${message}`, { path, cause });
  }
}
