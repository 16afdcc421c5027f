import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { loadIdentity, trustHost } from '../../index.js';

/** The command, as a shell would find it after a build. */
export const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

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
