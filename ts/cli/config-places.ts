import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';

import { configDirectory, wantedConfigFile } from '../config.js';
import { ConfigError } from '../errors.js';
import { note } from './output.js';

/** Where a file of settings stands: where the command was started, with this user, with this machine, or where it was said. */
export type Place = 'project' | 'user' | 'system' | 'given';

/** A file of settings. */
export interface ConfigFile {
  readonly place: Place;
  readonly path: string;
  readonly text: string;
}

/** What such a file is called wherever it stands. */
export const CONFIG_NAME = 'sparsync.toml';

const SYSTEM_FOLDER = '/etc/sparsync';

/** The most bytes of a file of settings. */
const SIZE_MAX = 1 << 20;

/** What `--config` says for no file at all. */
const NONE = 'none';

let read: readonly string[] = [];

/** The files that say something about this run, for messages. */
export function configFilesRead(): readonly string[] {
  return read;
}

/** The files of settings that are there, those first that decide first. One that is named takes the place of all others. */
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
  if (wantsProject) places.unshift(['project', `./${CONFIG_NAME}`]);
  // Looking is one call where there is nothing, and no error is made.
  const files = places.filter(([, path]) => existsSync(path)).map(([place, path]) => open(place, path));
  return files.filter((file) => {
    const isUsed = file.place !== 'project' || isProject(file, files);
    if (!isUsed) closeSync(file.descriptor);
    return isUsed;
  });
}

/** The file of this user; none where no home folder is known. */
function userFile(): string | undefined {
  try {
    return join(configDirectory(), CONFIG_NAME);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** Whether a file of the working directory counts: who starts a command in a folder of others does not ask them. */
function isProject({ path, stats }: Opened, files: readonly Opened[]): boolean {
  const isOther = files.some(
    ({ place, stats: other }) => place !== 'project' && other.ino === stats.ino && other.dev === stats.dev,
  );
  if (isOther) return false;
  if (isOwn(stats)) return true;
  note(`${path} belongs to another user, or others may write it: it is not read`);
  return false;
}

function isOwn({ uid, mode }: Stats): boolean {
  return (uid === 0 || uid === process.geteuid?.()) && (mode & 0o002) === 0;
}

function open(place: Place, path: string): Opened {
  const descriptor = attempt(path, () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  const stats = fstatSync(descriptor);
  const refuse = (why: string): never => {
    closeSync(descriptor);
    throw new ConfigError(`${path} ${why}`, { path });
  };
  if (!stats.isFile()) return refuse('is no file of settings: it is no regular file');
  if (stats.size > SIZE_MAX) return refuse(`is no file of settings: it has more than ${SIZE_MAX} bytes`);
  if (place === 'user' && !isOwn(stats)) return refuse('belongs to another user, or others may write it');
  if (place === 'system' && (stats.mode & 0o002) !== 0) return refuse('may be written by others: run chmod o-w on it');
  return { place, path, descriptor, stats };
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
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`cannot read the settings in ${path}: ${message}`, { path, cause });
  }
}
