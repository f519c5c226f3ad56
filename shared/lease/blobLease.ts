import type { BlobLeaseClient, ContainerClient } from '@azure/storage-blob';
import { withContainer } from '../storage/blobs.ts';
import { codeOf, storageFailure } from '../storage/storageFailure.ts';
import type { Lease, TakeLease } from './lease.ts';

/** The longest that Blob Storage allows short of for ever; a crashed holder frees its mailbox within it. */
const leaseSeconds = 60;

export interface BlobLeaseTimes {
  /** How often a held lease is renewed; well under its length, so that one failed try costs nothing. */
  readonly renewMs: number;
}

/**
 * Leases on blob `email-leases/{customer}/{connection}`. The blob is made at first use and stays, empty.
 */
export function leasesIn(container: ContainerClient, times: BlobLeaseTimes = { renewMs: 20_000 }): TakeLease {
  return async (customer, connection) => {
    const blob = container.getBlockBlobClient(`${customer}/${connection}`);
    const client = blob.getBlobLeaseClient();
    const startedAtMs = performance.now();
    const acquire = () => client.acquireLease(leaseSeconds, { abortSignal: AbortSignal.timeout(15_000) });
    try {
      await acquire().catch(async (error: unknown) => {
        if (codeOf(error) !== 'BlobNotFound' && codeOf(error) !== 'ContainerNotFound') throw error;
        await withContainer(container, () => blob.upload('', 0, { conditions: { ifNoneMatch: '*' } })).catch(
          ignoreExisting,
        );
        await acquire();
      });
    } catch (error) {
      if (codeOf(error) === 'LeaseAlreadyPresent') return 'taken';
      throw storageFailure(error, `taking the lease of ${customer}/${connection}`);
    }
    return holdLease(client, startedAtMs, times.renewMs);
  };
}

/** Another process may have made the blob first, and even have leased it. */
function ignoreExisting(error: unknown): void {
  const code = codeOf(error);
  if (code !== 'BlobAlreadyExists' && code !== 'LeaseIdMissing' && code !== 'ConditionNotMet') throw error;
}

/**
 * Renews the lease until it ends, is lost or is released. What counts is the moment before a renewal was
 * asked for: the service can only have started the 60 s later.
 */
function holdLease(client: BlobLeaseClient, startedAtMs: number, renewMs: number): Lease {
  let lapsesAtMs = startedAtMs + leaseSeconds * 1_000;
  let endsAtMs = Number.POSITIVE_INFINITY;
  let state: 'held' | 'ended' | 'lost' | 'released' = 'held';
  let timer: NodeJS.Timeout | undefined;
  let renewing: Promise<void> | undefined;

  const currentState = (): Lease['state'] => {
    if (state === 'held' && performance.now() >= endsAtMs) state = 'ended';
    if (state === 'held' && performance.now() >= lapsesAtMs) state = 'lost';
    return state === 'released' ? 'ended' : state;
  };

  const tick = async (): Promise<void> => {
    if (currentState() === 'ended') return await giveBack(client);
    if (currentState() !== 'held') return;
    const askedAtMs = performance.now();
    if (askedAtMs + leaseSeconds * 1_000 > endsAtMs) {
      // One more renewal would keep the mailbox longer than is meant: what is left of this one is the end.
      endsAtMs = Math.min(endsAtMs, lapsesAtMs);
    } else {
      try {
        await client.renewLease({ abortSignal: AbortSignal.timeout(Math.min(renewMs, 15_000)) });
        lapsesAtMs = askedAtMs + leaseSeconds * 1_000;
      } catch (error) {
        if (isRefusal(error) && state === 'held') state = 'lost';
      }
    }
    schedule();
  };

  const schedule = (): void => {
    clearTimeout(timer);
    if (state !== 'held') return;
    const waitMs = Math.max(0, Math.min(renewMs, endsAtMs - performance.now()));
    timer = setTimeout(() => {
      renewing = tick();
    }, waitMs);
    timer.unref();
  };

  schedule();
  return {
    get state() {
      return currentState();
    },
    keepUntil(endsAt) {
      endsAtMs = endsAt ? performance.now() + (endsAt.getTime() - Date.now()) : Number.POSITIVE_INFINITY;
      schedule();
    },
    async release() {
      clearTimeout(timer);
      const mine = currentState() === 'held';
      state = 'released';
      await renewing;
      if (mine) await giveBack(client);
    },
  };
}

function isRefusal(error: unknown): boolean {
  const code = codeOf(error);
  return (
    code === 'LeaseIdMismatchWithLeaseOperation' ||
    code === 'LeaseNotPresentWithLeaseOperation' ||
    code === 'LeaseLost' ||
    code === 'LeaseIsBrokenAndCannotBeRenewed' ||
    code === 'LeaseIsBreakingAndCannotBeAcquired' ||
    code === 'BlobNotFound' ||
    code === 'ContainerNotFound'
  );
}

async function giveBack(client: BlobLeaseClient): Promise<void> {
  await client.releaseLease({ abortSignal: AbortSignal.timeout(10_000) }).catch(() => undefined);
}
