import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { loadIdentity, trustHost } from '../../index.js';

/** The package: this folder, or where the check of the package has installed it. */
export const packageFolder = process.env['SPARSYNC_TEST_PACKAGE'] ?? fileURLToPath(new URL('../..', import.meta.url));

/** The command, as a shell would find it after a build. */
export const program = join(packageFolder, 'dist/cli/main.js');

if (!existsSync(program)) throw new Error(`${program} is missing: run 'npm run build' first`);

/** One who connects: a folder with an own key and own pins, and the environment that points there. */
export interface Client {
  readonly configDir: string;
  readonly keyPath: string;
  readonly publicKey: string;
  readonly env: Readonly<Record<string, string>>;
  /** Pins a server's key for the command, as `sparsync trust` does. */
  readonly trust: (port: number, key: string) => void;
}

/** Makes a client, with a key of its own, below `parent`. */
export function client(parent: string, name = 'client'): Client {
  const configDir = `${parent}/${name}.config`;
  const stateDir = `${parent}/${name}.state`;
  const keyPath = `${configDir}/key.pem`;
  return {
    configDir,
    keyPath,
    publicKey: loadIdentity(keyPath).publicKey,
    env: { SPARSYNC_CONFIG_DIR: configDir, SPARSYNC_STATE_DIR: stateDir },
    trust: (port, key) => trustHost(`${configDir}/known_hosts`, '127.0.0.1', port, key),
  };
}
