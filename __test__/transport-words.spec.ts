// What the native core says of a connection: no word means this machine, and one that is not known is told, not passed over.
import test from 'ava';

import { InternalError } from '../ts/errors.js';
import { TRANSPORTS, transportOf, udpOutcomeOf } from '../ts/transports.js';

test('only where there is no connection a run is local, and a word that is not known is a defect', (t) => {
  t.is(transportOf(undefined), 'local');
  for (const word of TRANSPORTS) t.is(transportOf(word), word);
  const { message } = t.throws(() => transportOf('sctp'), { instanceOf: InternalError, code: 'ERR_SPARSYNC_INTERNAL' });
  t.is(message, 'unknown transport "sctp"');
  t.deepEqual(udpOutcomeOf(undefined), {});
  t.deepEqual(udpOutcomeOf('silent-lately'), { udp: 'silent-lately' });
  t.throws(() => udpOutcomeOf('lost'), { instanceOf: InternalError, message: 'unknown outcome of UDP "lost"' });
});
