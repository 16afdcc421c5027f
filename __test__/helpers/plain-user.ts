import { spawnSync } from 'node:child_process';

import { isRoot } from './setup.js';

/** What makes `setpriv` start a program as the user of this number, with his own group alone. */
export const becoming = (uid: number): readonly string[] => [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];

/** Whether this process can become another user, tried out. */
export const canBecome = isRoot && spawnSync('setpriv', [...becoming(65_534), 'true']).status === 0;
