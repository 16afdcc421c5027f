// A backup tool's nightly job: one folder, mirrored to a server, with everything that can go wrong told apart.
//
// Exit codes: 0 all is on the server's disk, 1 some files are not, 2 nothing was done that can be relied on.
import { DeleteRefusedError, PartialSyncError, SparsyncError, sync } from 'sparsync-native';

/** What the job needs from its environment; undefined when something is missing. */
function settings() {
  const { BACKUP_SOURCE: source, BACKUP_TARGET: target, BACKUP_SERVER_KEY: serverKey } = process.env;
  return source && target && serverKey ? { source, target, serverKey } : undefined;
}

/** One line for the log: what was looked at, what was moved, how long it took. */
function summary(result) {
  const { stats, attempts, durationMs } = result;
  return [
    `${stats.entriesSource} entries looked at`,
    `${stats.filesTransferred} files sent (${stats.bytesTransferred} bytes)`,
    `${stats.filesDeleted + stats.directoriesDeleted} deleted`,
    `${attempts} attempt${attempts === 1 ? '' : 's'}`,
    `${(durationMs / 1000).toFixed(1)} s`,
  ].join(', ');
}

/** Runs the backup and returns the exit code. */
async function backup() {
  const given = settings();
  if (given === undefined) {
    console.error('please set BACKUP_SOURCE, BACKUP_TARGET (sparsync://host/name/path) and BACKUP_SERVER_KEY');
    return 2;
  }
  const { source, target, serverKey } = given;
  const job = sync(source, target, {
    delete: true,
    // An append-mostly tree that loses this much in a night wants a person to look.
    maxDelete: 10_000,
    // The default, said aloud: when the promise resolves, the backup is on the server's disk.
    durability: 'run',
    // The night is long, the uplink is not reliable: go on for two hours, then let the monitoring know.
    retry: { attempts: 50, deadlineMs: 2 * 3_600_000 },
    // Yesterday's run may still be going on: wait for it, rather than fail.
    lockWaitMs: 600_000,
    trust: { pin: serverKey },
  });

  try {
    for await (const event of job) {
      if (event.type === 'retry')
        console.error(`attempt ${event.attempt} failed (${event.code}), going on: ${event.message}`);
      if (event.type === 'warning') console.error(`warning: ${event.message}`);
    }
    console.log(`backup complete: ${summary(await job)}`);
    return 0;
  } catch (error) {
    if (error instanceof PartialSyncError) {
      for (const failure of error.result.failures) {
        const kept = failure.oldContentKept ? 'the last backup of it is kept' : 'there is no backup of it';
        console.error(`not backed up: ${failure.path}: ${failure.message} (${kept})`);
      }
      console.log(`backup incomplete: ${summary(error.result)}`);
      return 1;
    }
    if (error instanceof DeleteRefusedError) {
      console.error(`refused to mirror a loss: ${error.message}`);
      console.error('If the files were removed on purpose, run once with allowMassDelete.');
      return 2;
    }
    if (error instanceof SparsyncError) {
      console.error(`${error.code}: ${error.message}`);
      return 2;
    }
    throw error;
  }
}

process.exitCode = await backup();
