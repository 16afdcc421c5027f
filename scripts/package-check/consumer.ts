// Compiled against the installed package, with the strictest settings, as a user's program is.
import { PartialSyncError, SparsyncError, connect, plan, serve, sync, verify } from 'sparsync-native';
import type { SyncEvent, SyncOptions, SyncResult } from 'sparsync-native';

export async function backup(source: string, target: string, options: SyncOptions): Promise<SyncResult | undefined> {
  const job = sync(source, target, options);
  for await (const event of job) report(event);
  try {
    return await job;
  } catch (error) {
    if (error instanceof PartialSyncError) return error.result;
    if (error instanceof SparsyncError && error.retryable) return undefined;
    throw error;
  }
}

function report(event: SyncEvent): void {
  if (event.type === 'progress') console.log(event.stats.bytesTransferred);
}

export const others = { connect, plan, serve, verify };
